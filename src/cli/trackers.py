"""Loggers beside TensorBoard: reached before anything is trained, and gone on with in the tracker's own run."""

import csv
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.loggers import CSVLogger

from src.callbacks.curves import Curves
from src.common.errors import UsageError, cause_of
from src.common.files import read_note, read_regular, write_atomic
from src.launch.launcher import as_list
from src.runs.folder import Run

NOTE = "trackers.json"  # in a run folder: the ids of its loggers' own runs, by the loggers' classes
# the argument of a logger's class that sets its ``version``
ARGUMENTS = {"CSVLogger": "version", "MLFlowLogger": "run_id", "WandbLogger": "version"}


@contextmanager
def resumed_trackers(loggers: Any, run: Run | None) -> Iterator[None]:
    """Let loggers that are made meanwhile go on in the tracker's runs that a run folder has noted.

    Afterwards ``loggers``, as parsed, are as before, for a run that branches off.
    """
    noted: dict[str, list[Any]] = {}
    if run is not None:
        noted = {name: ids for name, ids in read_note(run.path / NOTE).items() if isinstance(ids, list)}
    given = []
    for logger in as_list(loggers):
        name = str(logger.class_path).rpartition(".")[2] if isinstance(logger, Namespace) else ""
        argument = ARGUMENTS.get(name, "")
        if argument and noted.get(name) and logger.init_args.get(argument) is None:
            logger.init_args[argument] = noted[name].pop(0)
            given.append((logger.init_args, argument))
    try:
        yield
    finally:
        for arguments, argument in given:
            arguments[argument] = None


def open_trackers(loggers: list[Any], run: Run | None, epochs_done: int) -> None:
    """Make sure that trackers can be reached, before anything is trained, and note their runs in the run folder."""
    ids: dict[str, list[Any]] = {}
    for logger in loggers:
        if isinstance(logger, Curves):
            continue
        try:
            rows = rows_of(logger, epochs_done) if isinstance(logger, CSVLogger) and run is not None else []
            if rows:  # Lightning warns that it removes the file, and does
                warnings.filterwarnings("ignore", message="Experiment logs directory .* exists and is not empty")
            experiment = logger.experiment
        except Exception as error:  # each tracker has its own
            raise UsageError(f"--trainer.logger: {type(logger).__name__} cannot be used: {cause_of(error)}") from error
        if rows:
            experiment.metrics = rows
            logger.save()
        ids.setdefault(type(logger).__name__, []).append(logger.version)
    if run is not None and ids:
        write_atomic(run.path / NOTE, json.dumps(ids).encode())


def rows_of(logger: CSVLogger, epochs_done: int) -> list[dict[str, Any]]:
    """Return the rows that a CSV file has of epochs that are done, without that of the result so far."""
    path = Path(logger.log_dir) / "metrics.csv"
    if not path.is_file():
        return []
    lines = StringIO(read_regular(path).decode(), newline="")
    rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(lines)]
    return [row for row in rows if int(row["step"]) <= epochs_done and "best/val/acc" not in row]
