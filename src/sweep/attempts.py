"""The attempts at a trial: one whose worker died or was stopped is followed by another."""

import copy
import os
import socket
from contextlib import suppress
from pathlib import Path

from optuna import Study, Trial
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from src.common.system import WINDOWS

# attributes of a trial: which process runs it, and why it could not be trained
WORKER, ERROR = "worker", "error"


def attempts_of(study: Study) -> list[list[FrozenTrial]]:
    """Return the attempts at each trial, in the order of the trials' beginning."""
    attempts: dict[int, list[FrozenTrial]] = {}
    for trial in study.get_trials(deepcopy=False):
        first = RetryHeartbeatStaleTrialCallback.retried_trial_number(trial)
        attempts.setdefault(trial.number if first is None else first, []).append(trial)
    return list(attempts.values())


def is_lost(trial: FrozenTrial) -> bool:
    """Say whether a trial ended without a result or an error: its worker died or was stopped."""
    return trial.state == TrialState.FAIL and ERROR not in trial.user_attrs


def is_alive(trial: FrozenTrial) -> bool | None:
    """Say whether the process that runs a trial is there; None if this machine cannot tell."""
    host, _, process = str(trial.user_attrs.get(WORKER, "")).rpartition(" ")
    if not process.isdecimal() or host != socket.gethostname() or WINDOWS:  # where os.kill ends the process
        return None
    try:
        with suppress(PermissionError):  # it is another user's
            os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    with suppress(OSError):  # there is no /proc
        if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "Tt":  # stopped, by Ctrl-Z or so
            return None
    return int(process) != os.getpid()  # this process runs none yet: in a container an earlier one had its number


def note_worker(trial: Trial) -> None:
    """Note that this process runs a trial."""
    trial.set_user_attr(WORKER, f"{socket.gethostname()} {os.getpid()}")


def queue_again(study: Study, trial: FrozenTrial) -> None:
    """Queue a lost trial for another attempt."""
    attempt = copy.deepcopy(trial)
    attempt.user_attrs.pop(WORKER, None)
    RetryHeartbeatStaleTrialCallback()(study, attempt)
