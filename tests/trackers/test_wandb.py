"""W&B goes on with its run, and a branch gets its own."""

from pathlib import Path

import pytest

from tests.conftest import run_process
from tests.trackers.conftest import SHORT, overlay
from tests.training import run_folder


def test_a_resumed_run_goes_on_in_the_same_run_of_wandb_and_a_branch_gets_its_own(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline, W&B keeps a folder for each process, named after the time and the run's id."""
    monkeypatch.setenv("WANDB_MODE", "offline")

    def ids(*words: str) -> set[str]:
        answer = run_process("fit", *overlay("wandb"), *SHORT[2:], *words, cwd=tmp_path)
        assert answer.code == 0, answer
        return {path.name.rpartition("-")[2] for path in (tmp_path / "wandb").glob("offline-run-*")}

    data = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
    (first,) = ids(*data, "--trainer.max_epochs", "1")
    assert ids("--ckpt_path", "last", "--trainer.max_epochs", "2") == {first}
    best = run_folder(tmp_path) / "checkpoints" / "best.ckpt"
    assert len(ids("--ckpt_path", str(best), "--trainer.max_epochs", "3")) == 2
