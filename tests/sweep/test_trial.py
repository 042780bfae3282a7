"""One trial: its run folder, its data, and signals while it runs."""

import json
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from src.data import located
from src.sweep.trial import Progress, run_before
from tests.runs.test_notes import DAMAGE
from tests.sweep.conftest import Sweep, results, study_folder


def test_a_signal_at_the_end_of_a_trial_stops_the_sweep_and_keeps_the_trial(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Progress, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch + 1 == trainer.max_epochs:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Progress, "on_train_epoch_end", stop)
    stopped = sweep("seed_everything: {grid: [1, 2, 3]}\n")

    assert stopped.code == 143
    assert "Stopped by SIGTERM. 1 of 3 trials are done. Go on with: " in stopped.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.usefixtures("interruptible")
def test_a_signal_before_the_first_step_of_a_trial_stops_the_sweep(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    monkeypatch.setattr(Progress, "on_train_start", lambda *_: signal.raise_signal(number))
    stopped = sweep("seed_everything: {grid: [1, 2, 3]}\n")

    assert stopped.code == code
    assert "0 of 3 trials are done. Go on with: " in stopped.err


def test_a_run_of_another_trial_is_not_taken_for_that_of_an_interrupted_one(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Progress, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Progress, "on_train_epoch_end", stop)
    assert sweep("seed_everything: {grid: [1]}\n").code == 130
    monkeypatch.undo()
    note = study_folder(tmp_path) / "version_0" / "trial.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "token": "of another machine's version_0"}))

    assert sweep("seed_everything: {grid: [1]}\n").code == 0
    assert list(results(study_folder(tmp_path))) == [1]


def test_a_worker_that_died_before_its_run_had_a_token_costs_no_more_than_that_run(own_run: Path) -> None:
    (own_run / "trial.json").write_text('{"token": "x"}')

    with_token: Any = SimpleNamespace(user_attrs={"run": str(own_run), "token": "x"})
    without: Any = SimpleNamespace(user_attrs={"run": str(own_run)})

    assert run_before(with_token) is not None
    assert run_before(without) is None


def test_a_trial_without_a_validation_has_failed(sweep: Sweep) -> None:
    answer = sweep("seed_everything: {grid: [1]}\n", "--trainer.check_val_every_n_epoch", "9")

    assert (
        "Trial 0: seed_everything 1 - failed: nothing was validated, so there is no val/acc to compare." in answer.out
    )
    assert answer.code == 1


def test_data_is_read_once(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    read_pair = located.read_pair

    def spy(images: Path, *arguments: Any) -> Any:
        read.append(images)
        return read_pair(images, *arguments)

    monkeypatch.setattr(located, "read_pair", spy)
    answer = sweep("data.val_size: {grid: [50, 60, 70]}\n")

    assert answer.code == 0
    assert len(read) == len(set(read)) == 2  # to train, and the test images, which are checked


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_trial_whose_note_is_damaged_begins_anew(damage: str, own_run: Path) -> None:
    DAMAGE[damage](own_run / "trial.json")
    trial = SimpleNamespace(user_attrs={"run": str(own_run), "token": "x"})

    assert run_before(cast(Any, trial)) is None
