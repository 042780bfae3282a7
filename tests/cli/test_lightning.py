"""Flags of the Trainer that keep working, and variables of a job that change nothing."""

from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.training import EPOCHS, recorded, run_folder


@pytest.mark.parametrize(
    "flags",
    [
        "--trainer.accumulate_grad_batches 2 --trainer.gradient_clip_val 1",
        "--trainer.precision 64-true",
        "--trainer.precision bf16-mixed",
        "--trainer.logger false",
        "--trainer.limit_train_batches 3",
        "--trainer.limit_train_batches 0.5",
        "--trainer.enable_checkpointing false",
        "--trainer.check_val_every_n_epoch 2",
        "--trainer.callbacks+=lightning.pytorch.callbacks.EarlyStopping --trainer.callbacks.monitor=train/loss",
        "--trainer.callbacks+=lightning.pytorch.callbacks.ModelCheckpoint --trainer.callbacks.monitor=val/acc",
    ],
)
def test_the_trainers_own_flags_keep_working(cli: Cli, tmp_path: Path, flags: str) -> None:
    answer = cli("fit", *EPOCHS, *flags.split())

    assert (answer.code, answer.err) == (0, "")
    epochs = recorded(run_folder(tmp_path))["epochs"]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    assert ["val/acc" in epoch for epoch in epochs] == ([False, True, False] if "check_val" in flags else [True] * 3)


def test_validation_can_come_by_the_clock(cli: Cli) -> None:
    flags = ("--trainer.val_check_interval", "00:01:00:00")
    assert cli("fit", *EPOCHS, *flags, "--model.steps_per_execution", "1").code == 0


def test_a_job_of_slurm_without_srun_is_one_process(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "1")
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    assert cli("fit", *EPOCHS).code == 0
