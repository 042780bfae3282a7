"""The processes of a sweep: what each does, and how several are started."""

import os
import signal
import subprocess
import sys
import time
from types import FrameType

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from optuna import Trial, TrialPruned

from src.common.errors import RunError, UsageError, one_line
from src.common.output import say
from src.common.signals import STOPS, StoppedError
from src.data.datamodule import MNISTDataModule
from src.sweep.results import settings
from src.sweep.study import SharedStudy, TrialFailedError
from src.sweep.trial import TrialCLI

WORKER = "MNIST_SWEEP_WORKER"  # in the environment of a process that --workers started
POLL_SECONDS = 0.5


def work(shared: SharedStudy, fit: list[str]) -> None:
    """Run trials until the study has all that are wanted."""
    data: MNISTDataModule | None = None
    received = 0

    def objective(trial: Trial) -> float:
        nonlocal data, received
        values = shared.space.suggest(trial)
        shown = f"Trial {trial.number}: {settings(values)}"
        started = time.perf_counter()
        try:
            cli = TrialCLI(trial, shared.name, fit, values, data)
            best = cli.progress.history.best()
            if best is None:
                raise UsageError("nothing was validated, so there is no val/acc to compare.")
        except StoppedError:
            raise
        except (UsageError, RunError, MisconfigurationException, torch.OutOfMemoryError) as error:
            reason = one_line(" ".join(str(error).split()))
            trial.set_user_attr("error", reason)
            say(f"{shown} - failed: {reason}")
            raise TrialFailedError from error
        data, received = cli.datamodule, cli.late_signal
        epochs = len(cli.progress.history.epochs)
        end = f"val/acc {best['val/acc']:.4f}" + f" - given up after epoch {epochs}" * cli.progress.is_pruned
        went_on = f" - went on after epoch {cli.checkpoint.epochs}" if cli.checkpoint else ""
        say(f"{shown} - {end} - {time.perf_counter() - started:.1f}s{went_on}")
        if cli.progress.is_pruned:
            raise TrialPruned
        return best["val/acc"]

    while len(shared.finished()) < shared.trials:
        if not shared.run_one(objective):
            time.sleep(POLL_SECONDS)  # a worker that dies gives its trial back
        if received:
            raise StoppedError(received)


def start_workers(words: list[str], workers: int) -> None:
    """Run a sweep in several processes, and wait for them.

    Args:
        words: The words after ``sweep``.
        workers: How many.

    Raises:
        StoppedError: If this process was asked to stop, and the others did.
    """
    threads = max(1, len(os.sched_getaffinity(0)) // workers)
    every_gpu = ",".join(map(str, range(torch.cuda.device_count())))
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", every_gpu).split(",")
    processes: list[subprocess.Popen[bytes]] = []
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for process in processes:
            process.send_signal(number)

    # they are in sessions of their own, so that Ctrl-C reaches them once, through this process
    before = {number: signal.signal(number, stop) for number in (*STOPS, signal.SIGHUP)}
    try:
        for number in range(workers):
            gpu = gpus[number % len(gpus)]
            share = {WORKER: str(number), "OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": gpu}
            command = [sys.executable, "-m", "src.cli", "sweep", *words, "--workers=1"]
            processes.append(subprocess.Popen(command, env={**os.environ, **share}, start_new_session=True))
        for process in processes:
            process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        raise StoppedError(received[0])
