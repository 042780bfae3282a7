"""A loss, a metric or weights that are not finite end the run, say where, and are never saved."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from src.model.classifier import Classifier
from tests.conftest import Cli
from tests.training import EPOCHS, checkpoint, curves, run_folder


def nan_after(batches: int) -> Callable[..., torch.Tensor]:
    """Return a forward that has no finite logits any more after some training batches."""
    forward, seen = Classifier.forward, [0]

    def broken(self: Classifier, images: torch.Tensor) -> torch.Tensor:
        seen[0] += self.training
        logits = forward(self, images)
        return logits * float("nan") if self.training and seen[0] > batches else logits

    return broken


@pytest.mark.parametrize("steps", ["1", "4"])
def test_a_loss_that_is_no_number_ends_the_run_and_says_where(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: str
) -> None:
    monkeypatch.setattr(Classifier, "forward", nan_after(8))
    answer = cli("fit", *EPOCHS, "--model.steps_per_execution", steps)
    loss = curves(run_folder(tmp_path))["train/loss"]

    assert answer.code == 1
    assert f"epoch 2, batch 3, lr 0.001, train/loss {loss[0][1]:.4g} in the epoch before" in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert len(loss) == 1
    for name in ("best", "last"):
        saved = checkpoint(run_folder(tmp_path), name)
        assert saved["epoch"] == 0
        assert all(value.isfinite().all() for value in saved["state_dict"].values())


def test_a_metric_that_early_stopping_does_not_find_is_one_sentence(cli: Cli) -> None:
    answer = cli("fit", *EPOCHS, "--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val_loss")

    assert (answer.code, len(answer.err.splitlines())) == (1, 1)
    assert answer.err.startswith("error: --trainer.callbacks: EarlyStopping ended the training (RuntimeError: ")
    assert "`val_loss` which is not available" in answer.err and "`val/loss`" in answer.err


def test_on_a_terminal_an_error_gets_a_line_below_the_bar(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(Classifier, "forward", nan_after(8))
    answer = cli("fit", *EPOCHS)

    assert answer.code == 1
    assert "Epoch 2/3" in answer.out.splitlines()[-1]
    assert answer.out.endswith("\n")


def test_no_step_checkpoint_holds_a_broken_loss(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Classifier, "forward", nan_after(2))
    answer = cli("fit", *EPOCHS, "--checkpoints.every_n_steps", "2")

    assert (answer.code, checkpoint(run_folder(tmp_path))["global_step"]) == (1, 2)


def test_weights_whose_validation_is_no_number_are_never_saved(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(self: Any) -> None:
        with torch.no_grad():
            self.net[-1].weight.fill_(3e38)

    monkeypatch.setattr(Classifier, "on_validation_start", breaks)
    answer = cli("fit", *EPOCHS)

    assert answer.code == 1
    assert "val/loss is" in answer.err
    assert not list((run_folder(tmp_path) / "checkpoints").glob("*"))


@pytest.mark.parametrize("flags", ["--data.val_size 0", "--checkpoints.every_n_steps 1"])
def test_weights_that_no_loss_has_seen_are_never_saved_broken(cli: Cli, tmp_path: Path, flags: str) -> None:
    answer = cli("fit", *EPOCHS, *flags.split(), "--model.lr", "1e39", "--trainer.limit_train_batches", "1")

    assert answer.code == 1
    assert "the weights are no longer finite: epoch 1;" in answer.err
    assert not list((run_folder(tmp_path) / "checkpoints").glob("*"))


def test_detect_anomaly_still_names_the_operation(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Classifier, "forward", nan_after(3))
    with pytest.warns(UserWarning, match="Error detected in"), pytest.raises(RuntimeError, match="nan values"):
        cli("fit", *EPOCHS, "--trainer.detect_anomaly", "true")
