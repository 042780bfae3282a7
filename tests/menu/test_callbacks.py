"""Callbacks of Lightning and of a user's own: they take nothing of a run's place, and one that fails is named."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from src.runs.checkpoint import Checkpoint
from tests.conftest import Cli, run_process
from tests.menu.items import CB, QUIET
from tests.training import checkpoint, run_folder


def test_a_checkpoint_callback_has_a_folder_of_its_own(cli: Cli, tmp_path: Path) -> None:
    """ModelCheckpoint's last.ckpt and best.ckpt do not take the place of the run's."""
    second = [f"{CB}+=ModelCheckpoint", f"{CB}.save_weights_only=true", f"{CB}.save_last=true", f"{CB}.filename=best"]
    assert cli("fit", *QUIET, *second, f"{CB}.every_n_train_steps=2").code == 0
    run = run_folder(tmp_path)

    assert {path.name for path in (run / "model_checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert Checkpoint.read(run / "checkpoints" / "last.ckpt").epochs == 2
    more = ["--trainer.max_epochs", "3", CB, "null"]
    assert cli("fit", "--ckpt_path", str(run), *more).code == 0


def test_a_metric_in_a_file_name_makes_no_folders(cli: Cli, tmp_path: Path) -> None:
    second = [f"{CB}+=ModelCheckpoint", f"{CB}.filename={{epoch}}-{{val/loss:.2f}}"]
    refused = cli("fit", *QUIET, *second)
    assert refused.err.endswith(f"has a slash: add {CB}.auto_insert_metric_name=false.\n")

    assert cli("fit", *QUIET, *second, f"{CB}.auto_insert_metric_name=false").code == 0
    (path,) = (run_folder(tmp_path) / "model_checkpoints").iterdir()
    assert path.name.startswith("1-") and path.suffix == ".ckpt"


def test_a_checkpoint_callback_may_not_write_into_the_checkpoints_of_a_run(cli: Cli, own_run: Path) -> None:
    folder = own_run / "checkpoints"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    answer = cli("fit", *QUIET, f"{CB}+=ModelCheckpoint", f"{CB}.dirpath={folder}")

    assert answer.code == 2
    assert answer.err.startswith(f"error: {CB}.dirpath {folder} has the checkpoints of a run")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert not (own_run.parent / "version_1").exists()


class Unwritable(Callback):
    """Made of what no config can hold."""

    def __init__(self, value: Any = object()) -> None:  # noqa: B008
        pass


@pytest.mark.filterwarnings(r"ignore:\s*Unable to serialize instance")
def test_a_config_that_cannot_be_written_is_refused(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *QUIET, f"{CB}+=tests.menu.test_callbacks.Unwritable")

    assert (answer.code, answer.err) == (2, "error: value has a value that no config can hold: give plain values.\n")
    assert not list(tmp_path.glob("lightning_logs/version_*"))


def test_a_flag_of_a_callback_wins_over_its_saved_state(cli: Cli, tmp_path: Path) -> None:
    """With a patience of 0 the second epoch would end it."""
    stop = [f"{CB}+=EarlyStopping", f"{CB}.monitor=val/loss", f"{CB}.min_delta=9"]
    assert "Trained 2 of 4 epochs" in cli("fit", *QUIET, *stop, f"{CB}.patience=1", "--trainer.max_epochs", "4").out
    answer = cli("fit", "--ckpt_path", "last", *stop, f"{CB}.patience=10", "--trainer.max_epochs", "6")

    assert (answer.code, "Trained 6 epochs" in answer.out) == (0, True), answer


class Fails(Callback):
    """Fails in a hook before the first batch."""

    def on_fit_start(self, trainer: Trainer, pl_module: object) -> None:
        raise KeyError("mine")


def test_a_callback_that_fails_at_the_start_is_named_and_leaves_no_run(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *QUIET, f"{CB}+=tests.menu.test_callbacks.Fails")

    assert answer.code == 2
    assert answer.err == f"error: {CB}: Fails cannot be used here (KeyError: 'mine').\n"
    assert not list(tmp_path.glob("lightning_logs/version_*"))


class Breaks(Callback):
    """Fails later: a mistake of its author, who needs the traceback."""

    def on_train_batch_end(self, *_: object) -> None:
        raise KeyError("mine")


def test_a_mistake_in_a_callback_of_ones_own_has_its_traceback(cli: Cli) -> None:
    with pytest.raises(KeyError, match="mine"):
        cli("fit", *QUIET, f"{CB}+=tests.menu.test_callbacks.Breaks")


def test_what_lightning_says_for_a_person_is_shown_and_its_chatter_is_not(digits: Path, tmp_path: Path) -> None:
    data = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
    stop = [f"{CB}+=EarlyStopping", f"{CB}.monitor=val/loss", f"{CB}.verbose=true"]
    answer = run_process("fit", *data, *QUIET, *stop, "--trainer.accelerator", "cpu", cwd=tmp_path)

    assert answer.code == 0
    assert all("val/loss improved" in line for line in answer.err.splitlines()) and answer.err


def test_weights_are_those_without_the_callbacks(cli: Cli, tmp_path: Path) -> None:
    beside = [f"{CB}+=ModelCheckpoint", f"{CB}+=LearningRateMonitor", f"{CB}+=TQDMProgressBar"]
    cli("fit", *QUIET)
    cli("fit", *QUIET, *beside)

    plain, watched = (checkpoint(run_folder(tmp_path, number))["state_dict"] for number in (0, 1))
    assert all(torch.equal(value, watched[name]) for name, value in plain.items())
