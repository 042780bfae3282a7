"""A study's database is input like any other: others may have written to it."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from tests.sweep.conftest import SPACE, Sweep, study_folder

KEYS = {
    "model.lr": FloatDistribution(1e-3, 1e-1, log=True),
    "model.hidden_units": CategoricalDistribution(["[8]", "[16, 8]"]),
}


def study_of(path: Path) -> optuna.Study:
    return optuna.load_study(study_name="space", storage=f"sqlite:///{path}")


def without_notes(path: Path) -> None:
    values = {"model.lr": 0.01, "model.hidden_units": "[8]"}
    study_of(path).add_trial(create_trial(params=values, distributions=KEYS, value=2.0))


def without_settings(path: Path) -> None:
    study_of(path).add_trial(create_trial(value=3.0))


def nasty(path: Path) -> None:
    keys = {
        "model.lr": FloatDistribution(1e-3, 1e-1, log=True),
        "a\x1b[2Jb": CategoricalDistribution(["c\nd: 1\x1b[2J"]),
    }
    values = {"model.lr": 0.01, "a\x1b[2Jb": "c\nd: 1\x1b[2J"}
    notes = {"run": "x\x1b[2J\n", "error": "y\x1b[2J\n"}
    study_of(path).add_trial(create_trial(params=values, distributions=keys, value=2.0, user_attrs=notes))


def another_note(path: Path) -> None:
    study_of(path).set_user_attr("comparison", {"space": [], "recipe": 3})


def notes_of_other_types(path: Path) -> None:
    notes = {"run": ["x"], "token": 3, "worker": {}, "error": 7}
    study_of(path).add_trial(create_trial(state=TrialState.FAIL, user_attrs=notes))
    study_of(path).add_trial(create_trial(state=TrialState.WAITING, user_attrs=notes))


def before_the_monitor(path: Path) -> None:
    study = study_of(path)
    comparison = study.user_attrs["comparison"]
    del comparison["recipe"]["checkpoints.monitor"], comparison["recipe"]["checkpoints.mode"]
    study.set_user_attr("comparison", comparison)


def other_columns(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE studies (study_id TEXT, study_name BLOB, title TEXT)")
        connection.execute("INSERT INTO studies VALUES ('a', X'00', 'b')")


def statements(*lines: str) -> Callable[[Path], None]:
    def run(path: Path) -> None:
        with sqlite3.connect(path) as connection:
            connection.executescript(";".join(lines))

    return run


STATEMENTS = {
    "a view without end": statements(
        "ALTER TABLE trials RENAME TO another",
        "CREATE VIEW trials AS WITH RECURSIVE r AS (SELECT * FROM another UNION ALL SELECT * FROM r) SELECT * FROM r",
    ),
    "a trigger": statements("CREATE TRIGGER t BEFORE INSERT ON trials BEGIN DELETE FROM trial_params; END"),
    "a value of a trial to come": statements("INSERT INTO trial_values VALUES (9, 2, 'x', 1, 'FINITE')"),
    "numbers that are words": statements("UPDATE trials SET number = 'x'"),
    "a result that is a word": statements("UPDATE trial_values SET value = 'x'"),
    "no result": statements("DELETE FROM trial_values"),
    "two directions": statements("INSERT INTO study_directions VALUES (9, 'MINIMIZE', 1, 1)"),
    "a day that is none": statements("UPDATE trials SET datetime_start = '2026-13-99'"),
    "lists in lists": statements(f"UPDATE trial_user_attributes SET value_json = '{'[' * 5_000}'"),
}


def other_trials(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE trials")
        connection.execute("CREATE TABLE trials (name TEXT)")


def wrong_states(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE trials SET state = 'LOST'")


@pytest.mark.parametrize(
    "damage",
    [
        without_notes,
        without_settings,
        nasty,
        another_note,
        notes_of_other_types,
        other_columns,
        other_trials,
        wrong_states,
        *(pytest.param(damage, id=name) for name, damage in STATEMENTS.items()),
    ],
)
def test_what_others_wrote_is_refused_or_passed_over_in_a_sentence(
    damage: Callable[[Path], None], sweep: Sweep, tmp_path: Path
) -> None:
    assert sweep(SPACE, "--trials", "1").code == 0
    damage(study_folder(tmp_path) / "study.db")
    answer = sweep(SPACE, "--trials", "2")

    assert answer.code in (0, 1, 2)
    errors = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == (answer.code > 0), answer.err
    assert all(map(str.isprintable, answer.out.splitlines()))
    best = study_folder(tmp_path) / "best.yaml"
    assert "\nd: 1" not in best.read_text()


def test_a_study_from_before_the_monitor_is_of_the_accuracy(sweep: Sweep, tmp_path: Path) -> None:
    metric = ["--model.metrics+=MulticlassF1Score"]
    assert sweep(SPACE, "--trials", "1", *metric).code == 0
    before_the_monitor(study_folder(tmp_path) / "study.db")
    refused = sweep(SPACE, "--trials", "2", *metric, "--checkpoints.monitor", "val/f1")

    assert refused.code == 2
    assert "--study space was begun with --checkpoints.monitor val/acc: give this one" in refused.err
    assert sweep(SPACE, "--trials", "2", *metric).code == 0


def test_a_sweep_compares_by_one_measure(sweep: Sweep, tmp_path: Path) -> None:
    answer = sweep("checkpoints.monitor: {grid: [val/acc, val/loss]}", "--trials", "2")

    assert answer.code == 2
    assert "checkpoints.monitor and mode tell the best of all trials: leave them out of the space" in answer.err
    assert not study_folder(tmp_path).exists()
