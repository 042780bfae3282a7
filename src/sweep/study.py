"""A study that many processes share: who runs which trial, and what became of those that died."""

import json
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna import Study, Trial
from optuna.pruners import MedianPruner, NopPruner
from optuna.samplers import GridSampler, TPESampler
from optuna.storages import fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from src.common.errors import UsageError
from src.runs.recipe import dotted, policy_of
from src.sweep.space import Space
from src.sweep.storage import open_storage, requeue

STARTUP_TRIALS = 5  # before the pruner compares

optuna.logging.set_verbosity(optuna.logging.ERROR)  # the sweep prints a line per trial itself


class SharedStudy:
    """A study of Optuna's that any number of processes work on.

    In a journal file, one lock makes looking at the study and taking a trial one step, and a worker holds a lock on
    its trial that the operating system takes back when the worker ends, however it ends. In a database,
    Optuna's heartbeats tell who is alive. Either way the trial of a dead worker is failed and queued again.

    Args:
        name: Its name.
        folder: Where its journal file and locks are, unless they are elsewhere.
        storage: A database's URL, or another journal file; None keeps it in the folder.
        space: What is varied.
        recipe: What is not, as plain values.
        trials: Total number of trials, over all workers.
        seed: Decides what Optuna suggests.

    Raises:
        UsageError: If the storage cannot be reached, or has a study of this name that varies something else.
    """

    def __init__(
        self, name: str, folder: Path, storage: str | None, space: Space, recipe: dict[str, Any], trials: int, seed: int
    ) -> None:
        self.name = name
        self.space = space
        self.trials = trials
        self.seed = seed
        self._storage, self._lock = open_storage(storage or str(folder / "journal.log"))
        self._study = optuna.create_study(
            study_name=name, storage=self._storage, direction="maximize", load_if_exists=True, pruner=self._pruner()
        )
        self._refuse_another(recipe)

    def _pruner(self) -> MedianPruner | NopPruner:
        return NopPruner() if self.space.is_grid else MedianPruner(n_startup_trials=STARTUP_TRIALS)

    def _refuse_another(self, recipe: dict[str, Any]) -> None:
        """Note what the study compares, or refuse another comparison of the same name."""
        fixed = {
            key: value
            for key, value in dotted(recipe).items()
            if (policy := policy_of(key)) and policy.shared and key not in self.space.keys
        }
        asked = json.loads(json.dumps({"space": self.space.to_json(), "recipe": fixed}))
        with self._lock or nullcontext():
            saved = self._study.user_attrs.get("asked")
            if saved is None:
                self._study.set_user_attr("asked", asked)
                return
        way_out = "give this one another name with --study."
        if saved["space"] != asked["space"]:
            raise UsageError(f"--study {self.name} has another space than {self.space.path}: {way_out}")
        for key, value in asked["recipe"].items():
            if saved["recipe"].get(key, value) != value:
                raise UsageError(f"--study {self.name} was begun with --{key} {saved['recipe'][key]}: {way_out}")

    def all(self) -> list[FrozenTrial]:
        """Return the trials that count: not those of dead workers, which were queued again."""
        trials = self._study.get_trials(deepcopy=False)
        return [each for each in trials if each.state != TrialState.FAIL or "error" in each.user_attrs]

    def finished(self) -> list[FrozenTrial]:
        """Return the trials that have a result, or an error of their own."""
        return [each for each in self.all() if each.state.is_finished()]

    def _is_taken(self) -> bool:
        """Say whether others run all that is left."""
        trials = self.all()
        return len(trials) >= self.trials and not any(each.state == TrialState.WAITING for each in trials)

    def to_optuna(self) -> Study:
        """Return the study as Optuna's pictures take it."""
        return self._study

    def run_one(self, objective: Callable[[Trial], float]) -> bool:
        """Run a trial, if there is one left.

        Args:
            objective: Runs it and returns its val/acc, or raises TrialPruned or TrialFailedError. After any other
                exception the trial is queued again, and the exception raised.

        Returns:
            Whether there was one. Others may still be running, and come back if their workers die.
        """
        number, claim, has_raised = -1, None, False

        def run(trial: Trial) -> float:
            nonlocal number, claim, has_raised
            number = trial.number
            if self._lock is not None:
                claim = self._claim(number)
                claim.acquire()
                self._lock.release()
            elif sum(each.number < number for each in self.all()) >= self.trials:
                raise SurplusError
            if not self.space.is_grid:  # a seed of its own for each trial, as several workers begin at once
                self._study.sampler = TPESampler(seed=(self.seed * 1_000 + number) % 2**32, constant_liar=True)
            try:
                return objective(trial)
            except (optuna.TrialPruned, TrialFailedError):
                raise
            except BaseException:
                has_raised = True
                requeue(self._study, self._study.get_trials(deepcopy=False)[number])
                raise

        if self._lock is not None:
            self._lock.acquire()
        try:
            self._requeue_the_dead()
            if self._is_taken():
                return False
            if self.space.is_grid:
                self._study.sampler = GridSampler(self.space.grid)
            self._study.optimize(run, n_trials=1, catch=(TrialFailedError, SurplusError))
        except UnboundLocalError as error:  # Optuna's own, at the end of a trial whose storage is gone
            raise error.__context__ or error from None
        except (ValueError, AssertionError):  # what Optuna says of a trial that has ended already
            if has_raised or number < 0 or self._study.get_trials(deepcopy=False)[number].state != TrialState.FAIL:
                raise  # else this worker was taken for dead, and another one has the trial
        finally:
            if claim is not None:
                claim.release()
                Path(claim.lock_file).unlink(missing_ok=True)
            elif self._lock is not None:
                self._lock.release()
        return True

    def _claim(self, number: int) -> FileLock:
        """Return the lock that the worker of a trial holds."""
        assert self._lock is not None
        return FileLock(Path(self._lock.lock_file).with_name(f"{self.name}.{number}"))

    def _requeue_the_dead(self) -> None:
        if self._lock is None:
            fail_stale_trials(self._study)
            return
        self._study.sampler = TPESampler()  # a grid's wants to stop the study when a trial has ended
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            claim = self._claim(trial.number)
            with suppress(Timeout), claim.acquire(timeout=0):
                requeue(self._study, trial)
                self._study.tell(trial.number, state=TrialState.FAIL)


class TrialFailedError(Exception):
    """A trial could not be trained; its attribute ``error`` says why."""


class SurplusError(Exception):
    """Several workers took what was to be the last trial at the same moment."""
