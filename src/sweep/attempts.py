"""The attempts at a trial: where a worker died or was stopped, another attempt follows."""

import copy

from optuna import Study
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

WORKER, ERROR = "worker", "error"  # attributes of a trial: the process that runs it, and why it could not be trained


def attempts_of(study: Study) -> list[list[FrozenTrial]]:
    """Return the attempts at each trial, in the order in which the trials began."""
    attempts: dict[int, list[FrozenTrial]] = {}
    for trial in study.get_trials(deepcopy=False):
        first = RetryHeartbeatStaleTrialCallback.retried_trial_number(trial)
        attempts.setdefault(trial.number if first is None else first, []).append(trial)
    return list(attempts.values())


def is_lost(trial: FrozenTrial) -> bool:
    """Say whether a trial ended without a result or an error: its worker died or was stopped."""
    return trial.state == TrialState.FAIL and ERROR not in trial.user_attrs


def queue_again(study: Study, trial: FrozenTrial) -> None:
    """Queue a lost trial for another attempt."""
    attempt = copy.deepcopy(trial)
    attempt.user_attrs.pop(WORKER, None)
    RetryHeartbeatStaleTrialCallback()(study, attempt)
