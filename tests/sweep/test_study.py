"""A study that workers share: no trial is lost, run twice or one too many."""

import socket
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from src.callbacks.monitor import Monitor
from src.sweep import storage, workers
from src.sweep.attempts import queue_again
from src.sweep.space import Space
from src.sweep.study import SharedStudy
from tests.sweep.conftest import Sweep


def shared_study(tmp_path: Path, trials: int, **keys: Any) -> SharedStudy:
    distributions = keys or {"model.lr": FloatDistribution(0.1, 1.0)}
    space = Space("space.yaml", distributions, is_grid=bool(keys))
    return SharedStudy("study", str(tmp_path / "study.db"), space, Monitor(), {}, trials, seed=1)


# heartbeats, which a command takes for granted
experimental = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@experimental
@pytest.mark.filterwarnings("ignore:Heartbeat of storage")  # the filters of threads are not their own
@pytest.mark.slow
def test_workers_that_begin_at_once_take_each_combination_once(tmp_path: Path) -> None:
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
@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_of_workers_that_look_at_once_one_takes_the_trial_of_a_stopped_one(tmp_path: Path) -> None:
    workers = [shared_study(tmp_path, trials=1) for _ in range(8)]
    barrier = threading.Barrier(len(workers))

    def take(shared: SharedStudy) -> optuna.Trial | None:
        barrier.wait()
        return shared.take()

    trial: Any = workers[0].take()
    for _ in range(5):
        workers[0].tell(trial, TrialState.FAIL)
        with ThreadPoolExecutor(len(workers)) as threads:
            taken: list[Any] = [trial for trial in threads.map(take, workers) if trial is not None]
            [trial] = taken or [workers[0].take()]


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
    trial: Any = shared.take()
    with shared.running(trial):
        shared.space.suggest(trial)
        other.study.tell(trial.number, state=TrialState.FAIL)  # as the heartbeats have it
        again: Any = other.take()
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
    trial: Any = shared.take()
    with pytest.raises(KeyboardInterrupt), shared.running(trial):
        raise KeyboardInterrupt
    lost = shared.study.get_trials()[0]
    for _ in range(2):
        queue_again(shared.study, lost)
    attempts: list[Any] = [shared.take(), shared.take()]

    assert attempts[1] is None
    assert shared.tell(attempts[0], TrialState.COMPLETE, 0.5)
    assert shared.take() is None
    assert len(shared.finished()) == 1


@experimental
def test_another_attempt_is_not_called_that_of_the_worker_that_was_stopped(tmp_path: Path) -> None:
    shared = shared_study(tmp_path, trials=1)
    trial: Any = shared.take()
    with pytest.raises(KeyboardInterrupt), shared.running(trial):
        raise KeyboardInterrupt

    assert shared.take() is not None
    assert shared.newly_awaited() == {1: "not known"}


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
    assert shared.newly_awaited().keys() == {0}
    assert shared.newly_awaited() == {}
    deadline = time.monotonic() + 60
    while (trial := shared.take()) is None and time.monotonic() < deadline:
        time.sleep(0.1)

    assert trial is not None
    assert trial.number == 1


@experimental
def test_a_command_waits_for_the_trial_of_a_dead_worker_and_says_so(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
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
    answer = sweep("seed_everything: {grid: [1, 2]}\n", "--trials", "1")

    assert answer.code == 0
    worker, _, waiting = lines[0].partition("): ")
    assert worker.startswith(f"Trial 0 is run by another worker ({socket.gethostname()} ")
    assert waiting == "waiting for its end, or until that worker has given no sign of life for 3 s"
    assert [line.partition(":")[0] for line in lines[1:]] == ["Trial 1"]
