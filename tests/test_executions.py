"""Several optimizer steps in one batch of Lightning's change nothing but the time it takes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from src.model import execution
from src.model.classifier import Classifier
from tests.conftest import Cli
from tests.training import EPOCHS, METRICS, checkpoint, results, run_folder, same_training

K = "--model.steps_per_execution"  # an epoch has six batches, the last one short


def same_results(one: Path, other: Path) -> bool:
    """Compare the metrics of all epochs; their sums may differ in the last bit."""
    pairs = zip(results(one), results(other), strict=True)
    return all(a[name] == pytest.approx(b[name], rel=1e-6) for a, b in pairs for name in METRICS)


@pytest.mark.parametrize(
    "flags",
    [
        "",
        "--model.dropout 0.5",
        "--data.distortion.rotation 15 --data.distortion.elastic 1.5",
        "--model.weight_decay 0.01 --model.warmup_steps 5 --model.cosine true",
        "--trainer.precision bf16-mixed",
        "--trainer.precision 64-true",
    ],
)
def test_the_weights_are_those_of_single_steps_to_the_last_bit(cli: Cli, tmp_path: Path, flags: str) -> None:
    for steps in ("1", "4", "24"):
        answer = cli("fit", *EPOCHS, K, steps, *flags.split())
        assert (answer.code, answer.err) == (0, "")
    single, *several = (run_folder(tmp_path, number) for number in range(3))

    for run in several:
        assert same_training(checkpoint(single), checkpoint(run))
        assert checkpoint(run)["global_step"] == checkpoint(single)["global_step"] == 18
        assert same_results(single, run)


def test_max_steps_ends_within_an_execution(cli: Cli, tmp_path: Path) -> None:
    for steps in ("1", "4"):
        cli("fit", K, steps, "--trainer.max_steps", "9")
    single, several = (checkpoint(run_folder(tmp_path, number)) for number in range(2))

    assert single["global_step"] == several["global_step"] == 9
    assert same_training(single, several)
    answer = cli("fit", "--ckpt_path", "last", "--trainer.max_steps", "18")
    assert answer.code == 2
    assert "was saved where --trainer.max_steps ended an execution of 4 steps" in answer.err


def test_lightnings_own_backward_and_step_give_the_same(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("fit", *EPOCHS, K, "4")
    monkeypatch.setattr(execution, "PRECISIONS_WITHOUT_SCALER", ())
    cli("fit", *EPOCHS, K, "4")

    assert same_training(checkpoint(run_folder(tmp_path)), checkpoint(run_folder(tmp_path, 1)))
    assert checkpoint(run_folder(tmp_path, 1))["global_step"] == 18


@pytest.mark.parametrize("dropout", ["0", "0.5"])
@pytest.mark.parametrize("step", ["4", "10"])
def test_a_checkpoint_between_executions_resumes_at_the_next_step(
    cli: Cli, tmp_path: Path, step: str, dropout: str
) -> None:
    save = ["--trainer.callbacks+=tests.training.SaveAt", "--trainer.callbacks.step", step]
    cli("fit", *EPOCHS, K, "4", "--model.dropout", dropout, *save)
    answer = cli("fit", "--ckpt_path", str(tmp_path / "middle.ckpt"))

    assert (answer.code, answer.err) == (0, "")
    assert same_training(checkpoint(run_folder(tmp_path)), checkpoint(run_folder(tmp_path, 1)))
    assert results(run_folder(tmp_path)) == results(run_folder(tmp_path, 1))
    assert checkpoint(run_folder(tmp_path, 1))["global_step"] == 18


def test_a_learning_rate_schedule_moves_with_every_optimizer_step(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Classifier.configure_optimizers

    def with_schedule(self: Classifier) -> Any:
        optimizer: Any = plain(self)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=15)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    monkeypatch.setattr(Classifier, "configure_optimizers", with_schedule)
    for steps in ("1", "4"):
        cli("fit", *EPOCHS, K, steps)
    single, several = (checkpoint(run_folder(tmp_path, number)) for number in range(2))

    assert single["lr_schedulers"][0]["last_epoch"] == several["lr_schedulers"][0]["last_epoch"] == 18
    assert same_training(single, several)
