"""Two processes that want the same run: one trains in it, the other waits or goes on from what the first one left."""

from pathlib import Path

import pytest
import torch

from src.runs.folder import Run
from tests.conftest import Cli
from tests.training import curves


def test_what_another_process_saved_before_the_lock_is_what_training_goes_on_from(
    cli: Cli, own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = Run.lock

    def lock_late(run: Run) -> None:
        """Let another process train an epoch and end, in the moment between the request and the lock."""
        monkeypatch.setattr(Run, "lock", lock)
        assert cli("fit", "--ckpt_path", str(own_run), "--trainer.max_epochs", "3").code == 0
        lock(run)

    monkeypatch.setattr(Run, "lock", lock_late)
    answer = cli("fit", "--ckpt_path", str(own_run), "--trainer.max_epochs", "4")

    assert (answer.code, answer.err) == (0, "")
    assert [step for step, _ in curves(own_run)["val/acc"]] == [1, 2, 3, 4]
    epochs = torch.load(own_run / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]["History"]["epochs"]
    assert [record["epoch"] for record in epochs] == [1, 2, 3, 4]


def test_a_newer_run_that_comes_before_the_lock_is_not_mixed_up(
    cli: Cli, own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, before = Run.lock, epochs_of(own_run)

    def lock_late(run: Run) -> None:
        monkeypatch.setattr(Run, "lock", lock)
        assert cli("fit", "--trainer.max_epochs", "1", "--seed_everything", "7").code == 0
        lock(run)

    monkeypatch.setattr(Run, "lock", lock_late)
    assert cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "3").code == 0

    assert epochs_of(own_run)[:2] == before
    assert len(epochs_of(own_run)) == 3


def epochs_of(run: Path) -> list[dict[str, float]]:
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return list(content["callbacks"]["History"]["epochs"])


def test_a_run_in_training_can_be_read_but_not_gone_on_with(cli: Cli, own_run: Path) -> None:
    other = Run(own_run)
    other.lock()

    for command in ("validate", "test"):
        assert cli(command, "--ckpt_path", str(own_run)).code == 0
    answer = cli("fit", "--ckpt_path", str(own_run), "--trainer.max_epochs", "3")
    assert answer.code == 2
    assert "is being trained by another process" in answer.err
    other.unlock()
    assert cli("fit", "--ckpt_path", str(own_run), "--trainer.max_epochs", "3").code == 0
