"""Requests for a sweep that are refused before any trial."""

import sys
from pathlib import Path

import optuna
import pytest
from optuna.samplers import RandomSampler

from src.cli.main import main
from src.sweep.space import read_space
from tests.conftest import REPOSITORY
from tests.sweep.conftest import SPACE, Sweep


@pytest.mark.parametrize(
    ("space", "words", "sentence"),
    [
        ("model.lrr: {log: [1e-4, 1e-1]}", "", "model.lrr is not known; did you mean --model.lr?"),
        ("model.lr: {log: [1e-1, 1e-4]}", "", "model.lr: the range [0.1, 0.0001] is upside down, empty or endless"),
        ("model.lr: {log: [0, 1]}", "", "model.lr: log needs numbers above 0"),
        ("model.lr: {log: [a, 1]}", "", "model.lr: log needs two numbers"),
        ("model.lr: {float: [-1, 1]}", "", "--model.lr must be a positive number, got -1.0"),
        ("model.lr: {choice: [0.1, fast]}", "", "--model.lr: Expected a number. Got value: fast"),
        ("data.batch_size: {int: [0, 10]}", "", "--data.batch_size must be a whole number from 1 up, got 0"),
        ("data.batch_size: {int: [1.5, 10]}", "", "data.batch_size: int needs two whole numbers"),
        ("data.batch_size: {float: [1.5, 10]}", "", "--data.batch_size: Expected a whole number"),
        ("model.lr: {range: [1, 2]}", "", "model.lr needs one of log, float, int, choice, grid"),
        ("model.lr: {choice: []}", "", "model.lr: choice needs a list"),
        ("model.lr: {choice: [1, 1]}", "", "model.lr: choice has a value twice"),
        ("model.dropout: {choice: [0, false]}", "", "model.dropout: choice has a value twice"),
        (f"data.batch_size: {{int: [1, {'9' * 400}]}}", "", "upside down, empty or endless"),
        ("trainer.devices: {grid: [1, 2]}", "", "--trainer.devices: a trial runs on one device"),
        ("data.val_size: {grid: [0, 60]}", "", "a sweep compares val/acc"),
        ("ckpt_path: {grid: [a, b]}", "", "--ckpt_path: the trials of a sweep start from the beginning"),
        ("model.lr: [1, 2", "", "is not YAML"),
        ("", "", "has no keys"),
        (SPACE, "--space missing.yaml", "--space missing.yaml: no such file"),
        (SPACE, "--storage sqlite:////no/such/folder/x.db", "--storage sqlite:////no/such/folder/x.db cannot be used"),
        (SPACE, "--storage sqlite://", "--storage sqlite:// ends with the process: name a file or a database"),
        (SPACE, "--storage nonsense://host/name", "--storage nonsense://host/name cannot be used"),
        (SPACE, "--storage postgresql+psycopg://u:secret@127.0.0.1:9/x", "u:***@127.0.0.1:9/x cannot be used"),
        (SPACE, f"--storage {REPOSITORY}/LICENSE", "LICENSE is damaged or not the database of a study (file"),
        (SPACE, "--study a/b", "--study a/b: give it a name that a folder can have"),
        (SPACE, "--trials 0", "--workers and --trials must be at least 1"),
        (SPACE, "--trials many", "--trials: many is not one of a whole number"),
        (SPACE, "--trials", "--trials needs a value."),
        (SPACE, "--model.lrr 1", "--model.lrr is not known; did you mean --model.lr?"),
        (SPACE, "--trainer.devices 2", "--trainer.devices: a trial runs on one device"),
        (SPACE, "--data.val_size 0", "a sweep compares val/acc"),
        (SPACE, "--trainer.fast_dev_run true", "--trainer.fast_dev_run and --trainer.barebones leave no run"),
    ],
)
def test_a_bad_request_is_refused_before_any_trial(
    sweep: Sweep, tmp_path: Path, space: str, words: str, sentence: str
) -> None:
    answer = sweep(space, *words.split())

    assert answer.code == 2
    assert sentence in answer.err
    assert answer.err.count("\n") == 1
    assert "secret" not in answer.err
    assert answer.out == ""
    assert not list(tmp_path.rglob("version_*"))


def test_without_the_extra_a_sentence_says_what_to_install(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna.exceptions", None)
    answer = sweep(SPACE)

    assert answer.code == 2
    assert 'which is not installed: pip install --constraint constraints.txt ".[sweep]"' in answer.err


def test_each_kind_of_range_is_drawn_from(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("a: {int: [3, 5]}\nb: {float: [0, 1]}\nc: {log: [1, 100]}\nd: {choice: [x]}\n")
    space, study = read_space(str(tmp_path / "space.yaml")), optuna.create_study(sampler=RandomSampler(seed=1))
    drawn = [space.suggest(study.ask()) for _ in range(40)]

    assert {values["a"] for values in drawn} == {3, 4, 5}
    assert all(type(values["a"]) is int and 0 <= values["b"] <= 1 <= values["c"] <= 100 for values in drawn)
    assert sum(values["c"] < 10 for values in drawn) > 10  # half of them, where a plain range has a tenth
    assert {values["d"] for values in drawn} == {"x"}


def test_a_sweep_explains_its_own_options_whatever_else_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["sweep", "--model.lr", "0.1", "--help"])
    out = " ".join(capsys.readouterr().out.split())

    assert stop.value.code == 0
    for words in (
        "--space SPACE A YAML file with",
        "--trials",
        "--storage",
        "--workers",
        "All flags of fit are accepted",
    ):
        assert words in out
