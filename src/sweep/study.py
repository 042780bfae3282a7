"""A study that many processes share: which worker runs a trial, and who takes over when the worker has died."""

import json
import os
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import optuna
from optuna import Trial
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.pruners import MedianPruner, NopPruner
from optuna.samplers import PartialFixedSampler, RandomSampler, TPESampler
from optuna.storages import fail_stale_trials
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from src.callbacks.monitor import Monitor
from src.common.errors import UsageError
from src.runs.recipe import BEFORE, dotted, policy_of
from src.sweep.attempts import WORKER, attempts_of, is_lost, queue_again
from src.sweep.space import Space
from src.sweep.storage import open_storage, storage_name

STARTUP_TRIALS = 5  # before the pruner compares
COMPARISON = "comparison"  # the study's attribute with the space, and the settings that no trial varies

optuna.logging.set_verbosity(optuna.logging.ERROR)  # the sweep prints a line per trial itself


class SharedStudy:
    """An Optuna study that any number of processes work on, with heartbeats in its database.

    A trial fails when its worker has sent no heartbeat for a while, and is queued again, as another attempt at it. The
    first attempt that did not fail counts, so two workers that queue a trial at once do no harm. Trials are numbered in
    the order of their first attempts; a trial beyond the total, which two workers may begin at once, is not run.
    """

    def __init__(
        self, name: str, storage: str, space: Space, monitor: Monitor, recipe: dict[str, Any], trials: int, seed: int
    ) -> None:
        self.name = name
        self.monitor = monitor
        self.space = space
        self.trials = trials  # over all workers
        self.seed = seed
        self._storage = open_storage(storage)
        self.grace_seconds = self._storage.grace_period or 0
        self._direction = StudyDirection.MINIMIZE if monitor.is_min else StudyDirection.MAXIMIZE
        self.study = optuna.create_study(
            study_name=name,
            storage=self._storage,
            direction=self._direction,
            load_if_exists=True,
            pruner=NopPruner() if space.is_grid else MedianPruner(n_startup_trials=STARTUP_TRIALS),
        )
        self._refuse_another(storage_name(storage), recipe)
        self._awaited: set[int] = set()

    def _refuse_another(self, storage: str, recipe: dict[str, Any]) -> None:
        """Record the comparison in the study, or refuse another comparison of the same name."""
        fixed = {
            key: value
            for key, value in dotted(recipe).items()
            if (policy := policy_of(key)) and policy.shared and key not in self.space.keys
        }
        comparison = json.loads(json.dumps({"space": self.space.to_json(), "recipe": fixed}))
        is_begun = bool(self.study.get_trials(deepcopy=False))  # first: another worker may record and begin meanwhile
        attributes = self.study.user_attrs
        saved: Any = attributes.get(COMPARISON, None if is_begun or attributes else comparison)
        way_out = "give this one another name with --study."
        is_ours = isinstance(saved, dict) and saved.keys() == comparison.keys() and isinstance(saved["recipe"], dict)
        foreign = UsageError(f"--study {self.name}: {storage} has a study of this name by another program; {way_out}")
        if not is_ours:
            raise foreign
        if saved["space"] != comparison["space"]:
            raise UsageError(f"--study {self.name} has another space than {self.space.path}: {way_out}")
        begun = BEFORE | saved["recipe"]
        for key, value in comparison["recipe"].items():
            if begun.get(key, value) != value:
                raise UsageError(f"--study {self.name} was begun with --{key} {begun[key]}: {way_out}")
        if self.study.directions != [self._direction]:
            raise foreign
        if COMPARISON not in attributes:
            self.study.set_user_attr(COMPARISON, comparison)

    def _trials(self) -> list[FrozenTrial]:
        """Return the attempts that count."""
        valid = ([trial for trial in attempts if not is_lost(trial)] for attempts in attempts_of(self.study))
        return [attempts[0] for attempts in valid if attempts]

    def finished(self) -> list[FrozenTrial]:
        """Return the trials that have a result, or an error that was not their worker's death."""
        return [trial for trial in self._trials() if trial.state.is_finished()]

    def take(self) -> Trial | None:
        """Return the next trial to run, or None while other workers run all trials that are left."""
        fail_stale_trials(self.study)
        attempts = attempts_of(self.study)
        for lost in [trials[-1] for trials in attempts[: self.trials] if all(map(is_lost, trials))]:
            queue_again(self.study, lost)
        is_any_waiting = any(trial.state == TrialState.WAITING for trial in self._trials())
        if not is_any_waiting and len(attempts) >= self.trials:
            return None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Heartbeat of storage")  # ``running`` sends heartbeats
            trial = self.study.ask()
        self.record_heartbeat(trial.number)
        place, earlier = next(
            (place, [other for other in trials if other.number < trial.number])
            for place, trials in enumerate(attempts_of(self.study))
            if any(other.number == trial.number for other in trials)
        )
        if (place >= self.trials and not earlier) or not all(map(is_lost, earlier)):  # taken by two workers at once
            self.tell(trial, TrialState.FAIL)
            return None
        if self.space.is_grid:
            self.study.sampler = PartialFixedSampler(self.space.combinations[place], RandomSampler())
        else:  # another seed for each trial, because several workers begin at once
            self.study.sampler = TPESampler(seed=(self.seed * 1_000 + trial.number) % 2**32, constant_liar=True)
        return trial

    @contextmanager
    def running(self, trial: Trial) -> Iterator[None]:
        """Send heartbeats while a trial runs; if an exception ends the trial, another worker can take it at once."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(self._storage.heartbeat_interval):
                with suppress(SQLAlchemyError, StorageInternalError):  # the next heartbeat may reach the database
                    self.record_heartbeat(trial.number)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            trial.set_user_attr(WORKER, f"{socket.gethostname()} {os.getpid()}")
            yield
        except BaseException:
            self.tell(trial, TrialState.FAIL)
            raise
        finally:
            ended.set()
            thread.join()

    def tell(self, trial: Trial, state: TrialState, value: float | None = None) -> bool:
        """Record how a trial ended; return False if another worker has taken it meanwhile, and the result is void."""
        try:
            return self.study.tell(trial, value, state, skip_if_finished=True).state == state
        except UpdateFinishedTrialError:
            return False

    def newly_awaited(self) -> dict[int, str]:
        """Return the workers of the trials that this worker begins to wait for, by trial number."""
        running = [trial for trial in self._trials() if trial.state == TrialState.RUNNING]
        new = [trial for trial in running if trial.number not in self._awaited]
        for trial in new:
            self._awaited.add(trial.number)
            if WORKER not in trial.user_attrs:  # a worker that died before its first heartbeat is never late
                self.record_heartbeat(trial.number)
        return {trial.number: str(trial.user_attrs.get(WORKER, "not known")) for trial in new}

    def record_heartbeat(self, number: int) -> None:
        """Record that the worker of a trial is alive."""
        study = self._storage.get_study_id_from_name(self.name)
        self._storage.record_heartbeat(self._storage.get_trial_id_from_study_id_trial_number(study, number))
