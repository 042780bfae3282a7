"""A study that is there already goes on, with what is done kept, or is refused where it was begun otherwise."""

import re
import signal
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from src.sweep.trial import Progress
from tests.sweep.conftest import SPACE, Sweep, results, study_folder
from tests.sweep.test_study import experimental, shared_study


def test_the_same_command_goes_on(sweep: Sweep, tmp_path: Path) -> None:
    assert sweep(SPACE, "--trials", "2").code == 0
    before = {number: result["epochs"] for number, result in results(study_folder(tmp_path)).items()}
    answer = sweep(SPACE, "--trials", "3")

    assert answer.code == 0
    assert answer.out.count("Trial ") == 1
    after = {number: result["epochs"] for number, result in results(study_folder(tmp_path)).items()}
    assert after.keys() == {0, 1, 2}
    assert before.items() <= after.items()


def test_a_stopped_sweep_keeps_what_is_done_and_goes_on_in_the_same_runs(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = Progress.on_train_epoch_end

    def stop(self: Progress, trainer: Any, pl_module: Any) -> None:
        report(self, trainer, pl_module)
        if self.trial.number == 1 and trainer.current_epoch == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Progress, "on_train_epoch_end", stop)
    stopped = sweep("seed_everything: {grid: [1, 2, 3]}\n")
    monkeypatch.undo()
    finished = sweep("seed_everything: {grid: [1, 2, 3]}\n")
    undisturbed = sweep("seed_everything: {grid: [1, 2, 3]}\n", "--study", "undisturbed")

    assert stopped.code == 130
    assert "Stopped by SIGINT. 1 of 3 trials are done. Go on with: python -m src.cli sweep --space=" in stopped.err
    assert (finished.code, undisturbed.code) == (0, 0)
    assert re.findall(r"Trial (\d): .*?( - resumed after epoch \d)?\n", finished.out) == [
        ("2", " - resumed after epoch 2"),
        ("3", ""),
    ]
    of_seed = [
        {result["seed"]: [epoch["val/loss"] for epoch in result["epochs"]] for result in results(folder).values()}
        for folder in (study_folder(tmp_path), study_folder(tmp_path, "undisturbed"))
    ]
    assert of_seed[0] == of_seed[1]
    assert len(list(study_folder(tmp_path).glob("version_*"))) == 3
    trials = optuna.load_study(study_name="space", storage=f"sqlite:///{study_folder(tmp_path)}/study.db").trials
    assert list(trials[2].intermediate_values) == [1, 2, 3]  # those before the stop too, with which others are compared


def test_another_comparison_of_the_same_name_is_refused(sweep: Sweep) -> None:
    assert sweep(SPACE, "--trials", "1").code == 0

    space = sweep("model.lr: {log: [1e-3, 1e-2]}", "--trials", "1")
    recipe = sweep(SPACE, "--trials", "1", "--model.dropout", "0.5")

    assert (space.code, recipe.code) == (2, 2)
    assert "--study space has another space than" in space.err
    assert "--study space was begun with --model.dropout 0.0: give this one another name with --study." in recipe.err


@experimental
def test_a_result_that_comes_while_another_worker_takes_over_is_void(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, other = shared_study(tmp_path, trials=1), shared_study(tmp_path, trials=1)
    trial: Any = shared.take()
    write = shared.study._storage.set_trial_state_values

    def write_late(*words: Any) -> bool:
        other.study.tell(trial.number, state=TrialState.FAIL)
        return write(*words)

    monkeypatch.setattr(shared.study._storage, "set_trial_state_values", write_late)

    assert not shared.tell(trial, TrialState.COMPLETE, 0.5)
    assert shared.finished() == []
