"""The processes of a sweep: the work of a process, and the start of several."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import FrameType

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from optuna import Trial
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from src.cli.commands import with_flags
from src.common.errors import RunError, UsageError, cause_of
from src.common.output import say
from src.common.signals import STOPS, StoppedError
from src.common.system import cores
from src.data.datamodule import MNISTDataModule
from src.sweep.attempts import ERROR
from src.sweep.results import settings
from src.sweep.study import SharedStudy
from src.sweep.trial import TrialCLI

STARTED_BY_WORKERS = "MNIST_SWEEP_WORKER"  # an environment variable of the processes that --workers starts
POLL_SECONDS = 0.5
FAILURES = (UsageError, RunError, MisconfigurationException, torch.OutOfMemoryError)  # of a trial, not of the sweep


def work(shared: SharedStudy, fit: list[str]) -> None:
    """Run trials until the study is complete, or this process is asked to stop."""
    data: MNISTDataModule | None = None
    while len(shared.finished()) < shared.trials:
        if (trial := shared.take()) is None:
            for number, worker in shared.newly_awaited().items():
                say(
                    f"Trial {number} is run by another worker ({worker}): waiting for its end, or until that worker "
                    f"has given no sign of life for {shared.grace_seconds} s"
                )
            time.sleep(POLL_SECONDS)
        elif (cli := run(shared, trial, fit, data)) is not None:
            data = cli.datamodule
            if cli.late_signal:
                raise StoppedError(cli.late_signal)


def run(shared: SharedStudy, trial: Trial, fit: list[str], data: MNISTDataModule | None) -> TrialCLI | None:
    """Run a trial, print a line on how it ended, and return the CLI that trained it, if one could be made."""
    cli, values, end, counts = None, {}, "", False
    started = time.perf_counter()
    with suppress(UpdateFinishedTrialError), shared.running(trial):
        values = shared.space.suggest(trial)
        try:
            cli = TrialCLI(trial, fit, values, data)
            best = cli.progress.best()
        except StoppedError:
            raise
        except FAILURES as error:
            reason = with_flags(cause_of(error))
            trial.set_user_attr(ERROR, reason)
            end, counts = f"failed: {reason}", shared.tell(trial, TrialState.FAIL)
        else:
            pruned = cli.progress.is_pruned
            end = f"{shared.monitor.name} {best:.4f}"
            end += f" - given up after epoch {len(cli.progress.history.epochs)}" if pruned else ""
            end += f" - {time.perf_counter() - started:.1f}s"
            end += f" - resumed after epoch {cli.checkpoint.epochs}" if cli.checkpoint else ""
            counts = shared.tell(trial, *((TrialState.PRUNED,) if pruned else (TrialState.COMPLETE, best)))
    if not counts:
        end = f"was given to another worker after {shared.grace_seconds} s without a sign of life from this one, "
        end += "whose result does not count"
    say(f"Trial {trial.number}: {settings(values)} - {end}")
    return cli


def start_workers(words: list[str], workers: int) -> None:
    """Run a sweep with the words after ``sweep`` in several processes, and wait until all have ended or stopped."""
    threads = max(1, cores() // workers)
    every_gpu = ",".join(map(str, range(torch.cuda.device_count())))
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", every_gpu).split(",")
    processes: list[subprocess.Popen[bytes]] = []
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for process in processes:
            with suppress(ValueError):  # Windows cannot; its Ctrl-C reaches all processes of a console
                process.send_signal(number)

    # each process has a session of its own, so that Ctrl-C reaches it once, through this process
    hang_up = (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()
    before = {number: signal.signal(number, stop) for number in (*STOPS, *hang_up)}
    try:
        for number in range(workers):
            gpu = gpus[number % len(gpus)]
            share = {STARTED_BY_WORKERS: str(number), "OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": gpu}
            command = [sys.executable, "-m", "src.cli", "sweep", *words, "--workers=1"]
            processes.append(subprocess.Popen(command, env={**os.environ, **share}, start_new_session=True))
        for process in processes:
            process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        raise StoppedError(received[0])
