"""Loggers besides TensorBoard: contacted before training, and resumed in the tracker's own run."""

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

NOTE = "trackers.json"  # in a run folder: the ids of the trackers' runs by logger class
# the argument of a logger's class that sets its ``version``
ARGUMENTS = {"CSVLogger": "version", "MLFlowLogger": "run_id", "WandbLogger": "version"}


@contextmanager
def resumed_trackers(loggers: Any, run: Run | None) -> Iterator[None]:
    """Give the parsed loggers, while they are made, the ids of the tracker's runs that a run folder has noted.

    Afterwards the parsed ``loggers`` have no ids again, so that a run that branches off does not inherit them.
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
    """Contact the trackers, to refuse an unreachable tracker before training, and note the ids of their runs."""
    ids: dict[str, list[Any]] = {}
    for logger in loggers:
        if isinstance(logger, Curves):
            continue
        try:
            rows = rows_of(logger, epochs_done) if isinstance(logger, CSVLogger) and run is not None else []
            if rows:  # Lightning warns, and removes the file
                warnings.filterwarnings("ignore", message="Experiment logs directory .* exists and is not empty")
            experiment = logger.experiment
        except Exception as error:  # each tracker raises its own types
            raise UsageError(f"--trainer.logger: {type(logger).__name__} cannot be used: {cause_of(error)}") from error
        if rows:
            experiment.metrics = rows
            logger.save()
        ids.setdefault(type(logger).__name__, []).append(logger.version)
    if run is not None and ids:
        write_atomic(run.path / NOTE, json.dumps(ids).encode())


def rows_of(logger: CSVLogger, epochs_done: int) -> list[dict[str, Any]]:
    """Return a CSV file's rows of finished epochs, without the row of the best result."""
    path = Path(logger.log_dir) / "metrics.csv"
    if not path.is_file():
        return []
    lines = StringIO(read_regular(path).decode(), newline="")
    rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(lines)]
    return [row for row in rows if int(row["step"]) <= epochs_done and "best/val/acc" not in row]
