"""Many fits, compared: what a sweep leaves, and that no trial is lost or run twice."""

import json
import os
import pwd
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from src.data import datamodule
from src.sweep import storage, workers
from src.sweep import study as studies
from src.sweep.attempts import queue_again
from src.sweep.results import half_width
from src.sweep.space import Space
from src.sweep.study import SharedStudy
from src.sweep.trial import Progress, run_before
from tests.conftest import REPOSITORY, Answer, Cli
from tests.test_cli import run_folder

EPOCHS = 3
SPACE = "model.lr: {log: [1e-3, 1e-1]}\nmodel.hidden_units: {choice: [[8], [16, 8]]}\n"
Sweep = Callable[..., Answer]


@pytest.fixture
def sweep(cli: Cli, tmp_path: Path, digits: Path) -> Sweep:
    """Run a sweep over a space, in this process, on small data."""

    def run(space: str, *words: str) -> Answer:
        path = tmp_path / "space.yaml"
        path.write_text(space)
        data = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
        short = ["--trainer.max_epochs", str(EPOCHS), "--model.hidden_units", "[8]"]
        return cli("sweep", "--space", str(path), *data, *short, *words)

    return run


def study_folder(tmp_path: Path, name: str = "space") -> Path:
    return tmp_path / "lightning_logs" / "sweeps" / name


def results(folder: Path) -> dict[int, dict[str, Any]]:
    """Each run's result by the number of its folder."""
    paths = folder.glob("version_*/result.json")
    found = {int(path.parent.name.removeprefix("version_")): json.loads(path.read_text()) for path in paths}
    return dict(sorted(found.items()))


def shown_hparams(run: Path) -> dict[str, Any]:
    events = EventAccumulator(str(run)).Reload()
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    values = HParamsPluginData.FromString(content).session_start_info.hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}


def test_a_study_is_a_folder_of_runs_with_its_best_config_and_pictures(sweep: Sweep, cli: Cli, tmp_path: Path) -> None:
    answer = sweep(SPACE, "--trials", "6")
    folder = study_folder(tmp_path)
    found = results(folder)

    assert (answer.code, answer.err) == (0, "")
    assert len(found) == len(list(folder.glob("version_*"))) == 6
    assert len([line for line in answer.out.splitlines() if line.startswith("Trial ")]) == 6
    assert "Epoch" not in answer.out
    best = max(found.values(), key=lambda result: result["best"]["val/acc"])  # the first of equals
    first = answer.out.partition("\ntrial  val/acc")[2].splitlines()[1].split()
    assert first[1] == f"{best['best']['val/acc']:.4f}"
    assert first[-1] == str(Path(best["best"]["checkpoint"]).parents[1])
    for name in ("history", "importance", "parallel_coordinate"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(EventAccumulator(str(folder)).Reload().Tags()["images"]) == [
        *("sweep/history", "sweep/importance", "sweep/parallel_coordinate")
    ]
    again = cli("fit", "--config", str(folder / "best.yaml"))
    assert again.code == 0
    result = json.loads((run_folder(tmp_path) / "result.json").read_text())
    assert result["best"]["val/acc"] == best["best"]["val/acc"]
    assert result["config"]["model"] == best["config"]["model"]
    assert "Epoch 1/3" in again.out  # what makes a trial quiet is no part of the recipe
    once_more = sweep(SPACE, "--trials", "6")
    assert once_more.code == 0
    assert "Nothing left to run: 6 trials of space are done; ask for more with --trials" in once_more.out
    assert "Trial " not in once_more.out


def test_each_trial_has_its_settings_and_result_in_hparams(sweep: Sweep, tmp_path: Path) -> None:
    space = "model.weight_decay: {choice: [0.0, 0.1]}\nmodel.lr: {float: [0.001, 0.01]}"
    assert sweep(space, "--trials", "3").code == 0

    for number, result in results(study_folder(tmp_path)).items():
        run = study_folder(tmp_path) / f"version_{number}"
        shown = shown_hparams(run)
        assert shown["lr"] == result["config"]["model"]["lr"]
        assert shown["weight_decay"] == result["config"]["model"]["weight_decay"]
        points = EventAccumulator(str(run)).Reload().Scalars("best/val/acc")
        assert [point.value for point in points] == [pytest.approx(result["best"]["val/acc"])]


def test_trials_are_no_newest_run(sweep: Sweep, cli: Cli) -> None:
    assert sweep(SPACE, "--trials", "1").code == 0

    assert cli("validate", "--ckpt_path", "best").code == 2


def test_one_seed_gives_one_sweep(sweep: Sweep, tmp_path: Path) -> None:
    for name in ("one", "other"):
        assert sweep(SPACE, "--trials", "3", "--study", name).code == 0
    one, other = (results(study_folder(tmp_path, name)) for name in ("one", "other"))

    assert [each["config"]["model"] for each in one.values()] == [each["config"]["model"] for each in other.values()]
    assert len({each["config"]["model"]["lr"] for each in one.values()}) == 3


def test_a_trial_that_is_given_up_or_fails_leaves_its_run_and_costs_nothing_else(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optuna.trial.Trial, "should_prune", lambda self: self.params["model.lr"] == 0.002)
    answer = sweep("model.lr: {grid: [0.001, 0.002, 1e+30]}\n")
    found = {result["config"]["model"]["lr"]: result for result in results(study_folder(tmp_path)).values()}

    assert answer.code == 0
    assert len(found[0.001]["epochs"]) == EPOCHS
    assert len(found[0.002]["epochs"]) == 1
    assert "given up after epoch 1" in answer.out
    assert "failed: the loss is no longer finite" in answer.out or "failed: val/loss is" in answer.out
    assert "3 trials: 1 to their end, 1 given up, 1 failed" in answer.out


def test_a_sweep_whose_trials_all_fail_is_a_failure(sweep: Sweep) -> None:
    answer = sweep("data.batch_size: {grid: [1000, 2000]}\n")

    assert answer.code == 1
    assert "no trial" in answer.err
    assert "larger than the training split" in answer.err


def test_seeds_give_mean_deviation_and_interval(sweep: Sweep, tmp_path: Path) -> None:
    answer = sweep("seed_everything: {grid: [1, 2, 3]}\n")
    accuracies = [result["best"]["val/acc"] for result in results(study_folder(tmp_path)).values()]
    mean, deviation = statistics.fmean(accuracies), statistics.stdev(accuracies)
    half = 4.302653 * deviation / 3**0.5  # Student's t for 2 degrees of freedom

    assert sorted(result["seed"] for result in results(study_folder(tmp_path)).values()) == [1, 2, 3]
    assert half_width(accuracies) == pytest.approx(half, rel=1e-6)
    assert (
        f"val/acc: mean {mean:.4f} over 3 seeds, sd {deviation:.4f}, "
        f"95 % interval {mean - half:.4f} to {mean + half:.4f}" in answer.out
    )


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
    assert re.findall(r"Trial (\d): .*?( - went on after epoch \d)?\n", finished.out) == [
        ("2", " - went on after epoch 2"),
        ("3", ""),
    ]
    of_seed = [
        {each["seed"]: [epoch["val/loss"] for epoch in each["epochs"]] for each in results(folder).values()}
        for folder in (study_folder(tmp_path), study_folder(tmp_path, "undisturbed"))
    ]
    assert of_seed[0] == of_seed[1]
    assert len(list(study_folder(tmp_path).glob("version_*"))) == 3


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


@pytest.mark.parametrize(("kind", "is_pruned"), [("choice", True), ("grid", False)])
def test_only_what_is_searched_is_pruned(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, is_pruned: bool
) -> None:
    monkeypatch.setattr(studies, "STARTUP_TRIALS", 1)
    answer = sweep(f"model.lr: {{{kind}: [0.02, 1.0e-9]}}\n", "--trials", "4", "--trainer.max_epochs", "10")

    assert answer.code == 0
    assert ("given up after epoch" in answer.out) == is_pruned


def shared_study(tmp_path: Path, trials: int, **keys: Any) -> SharedStudy:
    distributions = keys or {"model.lr": FloatDistribution(0.1, 1.0)}
    space = Space("space.yaml", distributions, is_grid=bool(keys))
    return SharedStudy("study", str(tmp_path / "study.db"), space, {}, trials, seed=1)


# heartbeats, which a command takes for granted
experimental = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@experimental
@pytest.mark.filterwarnings("ignore:Heartbeat of storage")  # the filters of threads are not their own
def test_workers_that_begin_at_once_take_each_combination_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "is_alive", lambda trial: True)  # not that of this process before
    barrier = threading.Barrier(8)
    values: list[int] = []

    def work() -> None:
        barrier.wait()
        shared = shared_study(tmp_path, 4, seed=CategoricalDistribution([1, 2, 3, 4]))
        barrier.wait()
        if (trial := shared.take()) is not None:
            with shared.running(trial):
                values.append(shared.space.suggest(trial)["seed"])
                barrier.wait()
                shared.tell(trial, TrialState.COMPLETE, 0.5)
        else:
            barrier.wait()

    with ThreadPoolExecutor(8) as threads:
        for worker in [threads.submit(work) for _ in range(8)]:
            worker.result()

    assert sorted(values) == [1, 2, 3, 4]
    shared = shared_study(tmp_path, 4, seed=CategoricalDistribution([1, 2, 3, 4]))
    assert len(shared.finished()) == 4
    assert shared.take() is None


@experimental
def test_what_two_workers_take_at_once_is_not_one_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, other = shared_study(tmp_path, trials=1), shared_study(tmp_path, trials=1)
    ask = shared.study.ask

    def ask_second() -> optuna.Trial:
        assert other.take() is not None
        return ask()

    monkeypatch.setattr(shared.study, "ask", ask_second)

    assert shared.take() is None
    assert [trial.state.name for trial in shared.study.get_trials()] == ["RUNNING", "FAIL"]
    monkeypatch.undo()
    assert shared.take() is None
    assert len(shared.study.get_trials()) == 2


@experimental
def test_the_result_of_a_worker_that_was_taken_for_dead_does_not_count(tmp_path: Path) -> None:
    shared, other = shared_study(tmp_path, trials=1), shared_study(tmp_path, trials=1)
    trial = shared.take()
    with shared.running(trial):
        shared.space.suggest(trial)
        other.study.tell(trial.number, state=TrialState.FAIL)  # as the heartbeats have it
        again = other.take()
        with pytest.raises(UpdateFinishedTrialError):
            trial.report(0.5, 1)
        assert not shared.tell(trial, TrialState.COMPLETE, 0.5)

    assert again.params == trial.params
    assert shared.finished() == []
    assert other.tell(again, TrialState.COMPLETE, 0.6)
    assert [trial.value for trial in shared.finished()] == [0.6]


@experimental
def test_a_trial_that_was_queued_again_by_two_workers_is_run_once(tmp_path: Path) -> None:
    shared = shared_study(tmp_path, trials=1)
    trial = shared.take()
    with pytest.raises(KeyboardInterrupt), shared.running(trial):
        raise KeyboardInterrupt
    lost = shared.study.get_trials()[0]
    for _ in range(2):
        queue_again(shared.study, lost)
    attempts = [shared.take(), shared.take()]

    assert attempts[1] is None
    assert shared.tell(attempts[0], TrialState.COMPLETE, 0.5)
    assert shared.take() is None
    assert len(shared.finished()) == 1


@experimental
def test_a_worker_that_died_before_its_first_heartbeat_gives_its_trial_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "HEARTBEAT_SECONDS", 1)
    shared = shared_study(tmp_path, trials=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shared.study.ask()
    assert shared.take() is None
    assert shared.newly_awaited() == [0]
    assert shared.newly_awaited() == []
    deadline = time.monotonic() + 60
    while (trial := shared.take()) is None and time.monotonic() < deadline:
        time.sleep(0.1)

    assert trial is not None
    assert trial.number == 1


@experimental
@pytest.mark.parametrize("trials", [1, 2])
def test_a_command_waits_for_the_trial_of_a_dead_worker_and_says_so(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch, trials: int
) -> None:
    lines: list[str] = []
    take = SharedStudy.take

    def take_second(shared: SharedStudy) -> optuna.Trial | None:
        if not shared.study.get_trials():
            take(shared).set_user_attr("worker", f"{socket.gethostname()} {2**22 + 1}")  # no process has this number
        if not lines:  # it has died in this moment
            shared.record_heartbeat(0)
        return take(shared)

    monkeypatch.setattr(storage, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(SharedStudy, "take", take_second)
    monkeypatch.setattr(workers, "say", lines.append)
    answer = sweep("seed_everything: {grid: [1, 2]}\n", "--trials", str(trials))

    assert answer.code == 0
    assert lines[0] == (
        "Trial 0 is being run by another worker, or its worker has died: waiting up to 3 s for a sign of life"
    )
    assert [line.partition(":")[0] for line in lines[1:]] == [f"Trial {number + 1}" for number in range(trials)]


def test_a_worker_that_died_before_its_run_had_a_token_costs_no_more_than_that_run(own_run: Path) -> None:
    (own_run / "trial.json").write_text('{"token": "x"}')

    assert run_before(SimpleNamespace(user_attrs={"run": str(own_run), "token": "x"})) is not None
    assert run_before(SimpleNamespace(user_attrs={"run": str(own_run)})) is None


def test_data_is_read_once(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    read_pair = datamodule.read_pair

    def spy(images: Path, *arguments: Any) -> Any:
        read.append(images)
        return read_pair(images, *arguments)

    monkeypatch.setattr(datamodule, "read_pair", spy)
    answer = sweep("data.val_size: {grid: [50, 60, 70]}\n")

    assert answer.code == 0
    assert len(read) == len(set(read)) == 2  # to train, and the test images, which are checked


@pytest.mark.parametrize(
    ("space", "words", "sentence"),
    [
        ("model.lrr: {log: [1e-4, 1e-1]}", "", "model.lrr is not known; did you mean --model.lr?"),
        ("model.lr: {log: [1e-1, 1e-4]}", "", "model.lr: the range [0.1, 0.0001] is upside down, empty or endless"),
        ("model.lr: {log: [0, 1]}", "", "model.lr: log needs numbers above 0"),
        ("model.lr: {log: [a, 1]}", "", "model.lr: log needs two numbers"),
        ("model.lr: {float: [-1, 1]}", "", "--model.lr must be a positive number, got -1.0"),
        ("model.lr: {choice: [0.1, fast]}", "", "--model.lr: Expected a number. Got value: fast"),
        ("data.batch_size: {int: [0, 10]}", "", "--data.batch_size must be at least 1, got 0"),
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


def other_study(path: Path, name: str, directions: list[str]) -> None:
    study = optuna.create_study(study_name=name, storage=f"sqlite:///{path}", directions=directions)
    study.add_trial(optuna.create_trial(values=[0.5] * len(directions)))


def other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE places (name)")
        connection.commit()


def half_database(path: Path) -> None:
    other_study(path, "space", ["maximize"])
    path.write_bytes(path.read_bytes()[:20_000])


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda path: path.write_text("one line, and no newline"), "is damaged or not the database of a study (file"),
        (lambda path: path.write_text('{"op_code": 0}\n'), "is damaged or not the database of a study (file"),
        (other_database, "is damaged or not the database of a study (no such table: studies): name another file"),
        (half_database, "is damaged or not the database of a study ("),
        (lambda path: other_study(path, "space", ["maximize"]), "has a study of this name by another program; give"),
        (lambda path: other_study(path, "space", ["minimize"]), "has a study of this name by another program; give"),
        (lambda path: other_study(path, "space", ["maximize"] * 2), "has a study of this name by another program"),
    ],
)
def test_the_file_of_something_else_is_refused_and_stays(
    sweep: Sweep, tmp_path: Path, write: Callable[[Path], Any], sentence: str
) -> None:
    path = tmp_path / "file"
    write(path)
    before = path.read_bytes()
    answer = sweep(SPACE, "--storage", str(path))

    assert answer.code == 2
    assert sentence in answer.err
    assert answer.err.count("\n") == 1
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [path, tmp_path / "space.yaml"]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_keeps_no_study(sweep: Sweep, tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "file")
    answer = sweep(SPACE, "--storage", f"sqlite:///{tmp_path}/file")

    assert answer.code == 2
    assert f"--storage {tmp_path}/file is damaged or not the database of a study (no regular file)" in answer.err


def test_a_study_begun_with_a_journal_is_refused(sweep: Sweep, tmp_path: Path) -> None:
    study_folder(tmp_path).mkdir(parents=True)
    (study_folder(tmp_path) / "journal.log").write_text('{"op_code": 0}\n')
    answer = sweep(SPACE)

    assert answer.code == 2
    assert "--study space was begun by a version before 0.2" in answer.err
    assert "give this one another name with --study." in answer.err
    assert [path.name for path in study_folder(tmp_path).iterdir()] == ["journal.log"]


@pytest.mark.parametrize(("kind", "code"), [("nfs4", 2), ("ext4", 0)])
def test_a_network_folder_keeps_no_study(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, code: int
) -> None:
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 27 0:999 / /proc rw,relatime - proc proc rw\n"
        f"27 1 {os.major(device)}:{os.minor(device)} / /home\\040x rw shared:1 - {kind} server:/home rw\n"
    )
    monkeypatch.setattr(storage, "MOUNTS", mounts)
    answer = sweep(SPACE, "--trials", "1")

    assert answer.code == code
    assert (f"lies on a network folder ({kind}), where SQLite may lose a study" in answer.err) == (code == 2)
    assert ("postgresql+psycopg://USER@HOST/NAME" in answer.err) == (code == 2)
    assert study_folder(tmp_path).exists() == (code == 0)


def test_a_file_of_any_name_keeps_a_study(sweep: Sweep, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "{a}?b%20#é.db"
    assert sweep(SPACE, "--trials", "1", "--storage", str(path)).code == 0

    assert [path.name for path in path.parent.iterdir()] == ["{a}?b%20#é.db"]
    assert not (study_folder(tmp_path) / "study.db").exists()


def test_a_storage_that_is_lost_ends_a_sweep_in_a_sentence(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Progress, "_report", lambda self, record: (tmp_path / "study.db").write_bytes(b"no more"))
    answer = sweep(SPACE, "--storage", f"sqlite:///{tmp_path}/study.db", "--trials", "1")

    assert answer.code == 1
    assert answer.err.startswith(f"error: --storage sqlite:///{tmp_path}/study.db was lost (")
    assert answer.err.count("\n") == 1


def test_another_comparison_of_the_same_name_is_refused(sweep: Sweep) -> None:
    assert sweep(SPACE, "--trials", "1").code == 0

    space = sweep("model.lr: {log: [1e-3, 1e-2]}", "--trials", "1")
    recipe = sweep(SPACE, "--trials", "1", "--model.dropout", "0.5")

    assert (space.code, recipe.code) == (2, 2)
    assert "--study space has another space than" in space.err
    assert "--study space was begun with --model.dropout 0.0: give this one another name with --study." in recipe.err


def test_without_the_extra_a_sentence_says_what_to_install(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna.exceptions", None)
    answer = sweep(SPACE)

    assert answer.code == 2
    assert "which is not installed: pip install --constraint constraints.txt '.[sweep]'" in answer.err


def test_what_a_launcher_starts_are_workers(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"NTASKS": "2", "PROCID": "1", "LOCALID": "1", "JOB_ID": "7"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)

    assert sweep(SPACE, "--trials", "1").code == 0


def test_workers_share_the_cores_and_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []

    class Process:
        def __init__(self, command: list[str], env: dict[str, str], start_new_session: bool) -> None:
            started.append((command, env))

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(7)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    workers.start_workers(["--space=space.yaml", "--workers=3"], 3)

    assert [env["OMP_NUM_THREADS"] for _, env in started] == ["2", "2", "2"]
    assert [env["CUDA_VISIBLE_DEVICES"] for _, env in started] == ["2", "5", "2"]
    assert all(command[-1] == "--workers=1" for command, _ in started)


WORKER = """
import os, signal, sys, time
from pathlib import Path
from src.cli.main import main
from src.sweep import storage
from src.sweep.trial import Progress
storage.HEARTBEAT_SECONDS = 1
folder, others, number = Path(sys.argv.pop(1)), int(sys.argv.pop(1)), int(sys.argv.pop(1))
report = Progress.on_train_epoch_end

def report_and_stop(self, trainer, pl_module):
    report(self, trainer, pl_module)
    if trainer.current_epoch == 1 and Progress.on_train_epoch_end is not report:
        while len(list(folder.glob("version_*"))) < others + 1:  # the others are at work
            time.sleep(0.01)
        Progress.on_train_epoch_end = report
        os.kill(os.getpid(), number)

if number:
    Progress.on_train_epoch_end = report_and_stop
sys.exit(main(sys.argv[1:]))
"""


def start_worker(
    tmp_path: Path, digits: Path, trials: int, *words: str, others: int = 0, number: int = 0
) -> subprocess.Popen[str]:
    """Start a worker on a grid of seeds; with a signal's number it gets that one in the middle of its first trial."""
    space = tmp_path / "seeds.yaml"
    space.write_text(f"seed_everything: {{grid: {list(range(trials))}}}\n")
    place = ["--trainer.default_root_dir", str(tmp_path), "--trainer.accelerator", "cpu", "--trainer.max_epochs", "3"]
    data = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
    command = ["sweep", "--space", str(space), *place, *data, "--model.hidden_units", "[8]", *words]
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(study_folder(tmp_path, "seeds")), str(others), str(number), *command],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_workers(tmp_path: Path, digits: Path, workers: int, trials: int, *words: str) -> str:
    """Let workers share a grid of seeds, of whom the first is killed in the middle of a trial; return their output."""
    processes = [
        start_worker(tmp_path, digits, trials, *words, others=workers - 1, number=0 if other else signal.SIGKILL)
        for other in range(workers)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    codes = [process.returncode for process in processes]
    assert codes == [-signal.SIGKILL, *[0] * (workers - 1)], "\n".join(outputs)
    return "".join(outputs)


def check_that_each_ran_once(tmp_path: Path, output: str, trials: int) -> None:
    found = results(study_folder(tmp_path, "seeds"))
    ends = Counter(re.findall(r"^Trial \d+: (.*?) - val/acc", output, re.MULTILINE))

    assert sorted(result["seed"] for result in found.values()) == list(range(trials))
    assert ends == {f"seed_everything {seed}": 1 for seed in range(trials)}
    # the killed one's trial went on in its own folder
    assert len(list(study_folder(tmp_path, "seeds").glob("version_*"))) == trials
    assert [[epoch["epoch"] for epoch in result["epochs"]] for result in found.values()] == [[1, 2, 3]] * trials


def test_four_workers_on_a_file_lose_no_trial_when_one_is_killed(tmp_path: Path, digits: Path) -> None:
    output = run_workers(tmp_path, digits, 4, 12)

    check_that_each_ran_once(tmp_path, output, 12)


def test_a_worker_that_was_only_stopped_does_not_make_a_trial_count_twice(tmp_path: Path, digits: Path) -> None:
    stopped = start_worker(tmp_path, digits, 2, others=1, number=signal.SIGSTOP)
    output = start_worker(tmp_path, digits, 2).communicate(timeout=300)[0]
    stopped.send_signal(signal.SIGCONT)
    late = stopped.communicate(timeout=300)[0]

    assert stopped.returncode == 0
    assert re.findall(r"^Trial \d+: seed_everything \d - (was .*)$", late, re.MULTILINE) == [
        "was given to another worker after 3 s without a sign of life from this one, whose result does not count"
    ]
    assert len(re.findall(r"^Trial \d: .* - val/acc", output, re.MULTILINE)) == 2
    assert "2 trials: 2 to their end, 0 given up, 0 failed" in late
    assert len(list(study_folder(tmp_path, "seeds").glob("version_*"))) == 3  # no two train in one folder
    assert sorted(result["seed"] for result in results(study_folder(tmp_path, "seeds")).values()) == [0, 1]


@pytest.fixture
def postgresql() -> Iterator[str]:
    """The URL of a database of a server of its own, on a socket."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if not programs:
        message = "No study is shared in a database without PostgreSQL: apt-get install postgresql"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    folder = Path(tempfile.mkdtemp(prefix="sweep-"))  # a short name, as a socket's must be
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name  # it refuses to run as root
    shutil.chown(folder, user)

    def run(program: str, *words: str) -> None:
        command = [programs[0] / program, "-D", str(folder / "data"), *words]
        subprocess.run(command, user=user, cwd="/", check=True, stdout=subprocess.DEVNULL)

    try:
        run("initdb", "-A", "trust", "-U", "sweep", "--no-sync")
        options = f"-k {folder} -c listen_addresses= -c fsync=off"
        run("pg_ctl", "-l", str(folder / "log"), "-w", "-o", options, "start")
        yield f"postgresql+psycopg://sweep@/postgres?host={folder}"
        run("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def test_two_workers_on_a_database_lose_no_trial_when_one_is_killed(
    tmp_path: Path, digits: Path, postgresql: str
) -> None:
    output = run_workers(tmp_path, digits, 2, 6, "--storage", postgresql)

    check_that_each_ran_once(tmp_path, output, 6)
