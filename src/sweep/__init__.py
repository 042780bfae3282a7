"""Compare many fits: ``python -m src.cli sweep``."""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from src.common.errors import RunError, UsageError, cause_of
from src.common.output import say
from src.common.signals import StoppedError, signal_of
from src.common.system import command_line
from src.runs.recipe import recipe_of

if TYPE_CHECKING:
    from src.sweep.study import SharedStudy

TRIALS = 30
# the variables by which launchers number their processes; here each process is a worker by itself
LAUNCHERS = ("SLURM_", "TORCHELASTIC_", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def sweep(
    fit: list[str],
    space: str,
    trials: int | None = None,
    study: str | None = None,
    storage: str | None = None,
    workers: int = 1,
) -> int:
    """Compare many fits. All flags of fit are accepted too, for every trial.

    A trial is a run in lightning_logs/sweeps/STUDY. The same command, again or in other processes, on this machine or
    others, continues the study.
    Pictures of a run (--inspection.enabled) are off unless switched on.

    Args:
        fit: The arguments of ``fit``.
        space: A YAML file with, for each config key to vary, {log: [a, b]}, {float: [a, b]}, {int: [a, b]},
            {choice: [...]} or {grid: [...]}. If all are grids, every combination is run once and to its end; otherwise
            Optuna's TPE sampler chooses, and its median pruner ends trials that do not look promising.
        trials: Total number of trials in the study, over all workers. Left out, 30, or all combinations of a grid.
        study: The study's name. Left out, the name of the space's file.
        storage: Where the study is kept: a file for SQLite, which all processes on this machine may share, or a
            database's URL such as postgresql+psycopg://USER@HOST/NAME, for several machines. Left out, study.db in
            the study's folder.
        workers: Processes to start here; each gets its share of the cores, and a GPU if there are any.
    """
    for name in [name for name in os.environ if name.startswith(LAUNCHERS)]:
        del os.environ[name]
    try:
        from optuna.exceptions import ExperimentalWarning, StorageInternalError
        from sqlalchemy.exc import SQLAlchemyError

        from src.callbacks.monitor import Monitor
        from src.sweep.request import FitRequest
        from src.sweep.results import finish
        from src.sweep.space import read_space
        from src.sweep.storage import own_file, storage_name
        from src.sweep.study import SharedStudy
        from src.sweep.trial import SWEEPS_FOLDER
        from src.sweep.workers import STARTED_BY_WORKERS, start_workers, work
    except ModuleNotFoundError as error:
        raise UsageError(
            f'sweep needs {error.name}, which is not installed: pip install --constraint constraints.txt ".[sweep]"'
        ) from error

    warnings.filterwarnings("ignore", category=ExperimentalWarning)  # heartbeats, constant_liar and pictures
    if workers < 1 or (trials is not None and trials < 1):
        raise UsageError("--workers and --trials must be at least 1.")
    name = study or Path(space).stem
    if name != Path(name).name or name.startswith("."):
        raise UsageError(f"--study {name}: give it a name that a folder can have.")
    given = {"space": space, "trials": trials, "study": study, "storage": storage}
    given["workers"] = workers if workers > 1 else None
    words = [*(f"--{key}={value}" for key, value in given.items() if value is not None), *fit]
    varied = read_space(space)
    request = FitRequest(fit)
    recipe, seed = recipe_of(request.request), int(request.request.seed_everything)
    varied.check(lambda words: request.parse([*fit, *words]))
    folder = request.root / SWEEPS_FOLDER / name
    storage = storage or own_file(folder)
    combinations = len(varied.combinations) if varied.is_grid else None
    wanted = min(trials or combinations, combinations) if combinations else trials or TRIALS
    try:
        shared = SharedStudy(name, storage, varied, Monitor.of(request.request), recipe, wanted, seed)
        is_done = len(shared.finished()) >= wanted
    except (UsageError, RunError):
        raise
    except Exception as error:  # Optuna raises many types of errors for values that another program wrote
        reason = cause_of(error.__cause__ or error)
        raise UsageError(f"--storage {storage_name(storage)} has no study of this project ({reason}).") from error
    if is_done:
        more = "" if wanted == combinations else "; ask for more with --trials"
        say(f"Nothing left to run: {wanted} trials of {name} are done{more}")
    try:
        if workers > 1:
            start_workers(words, workers)
        else:
            work(shared, fit)
    except (StoppedError, KeyboardInterrupt, SystemExit) as stopped:
        if not (number := signal_of(stopped)):
            raise
        if STARTED_BY_WORKERS in os.environ:  # the process that started this worker prints the sentence
            return 128 + number
        raise StoppedError(number, progress(shared, words)) from stopped
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise RunError(f"--storage {storage_name(storage)} was lost ({reason}); the same command continues.") from error
    if len(shared.finished()) < wanted:
        raise RunError(f"the workers have ended. {progress(shared, words)}")
    if STARTED_BY_WORKERS not in os.environ:
        finish(shared, request, fit, folder)
    return 0


def progress(shared: "SharedStudy", words: list[str]) -> str:
    """Return a sentence with the progress of a study and the command that continues it."""
    command = command_line(["python", "-m", "src.cli", "sweep", *words])
    return f"{len(shared.finished())} of {shared.trials} trials are done. Go on with: {command}"
