"""Checks of ``--trainer.callbacks``: callbacks that would spoil a run or its record are refused by name."""

import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import (
    BaseFinetuning,
    BatchSizeFinder,
    LearningRateFinder,
    ModelCheckpoint,
    ModelPruning,
    OnExceptionCheckpoint,
    StochasticWeightAveraging,
)

from src.cli.messages import explain
from src.common.errors import RunError, UsageError
from src.runs.folder import Run

FLAG = "--trainer.callbacks"
FOLDER = "model_checkpoints"  # in the run, for ModelCheckpoint's files: their names may equal our checkpoints' names
# callbacks that would make a run differ from its record, with the reason and the alternative
REFUSED: dict[type[Callback], str] = {
    BatchSizeFinder: "changes data.batch_size after it was recorded: compare sizes with sweep over data.batch_size.",
    LearningRateFinder: "changes model.lr after it was recorded: compare rates with sweep over model.lr.",
    StochasticWeightAveraging: "has weights and a schedule that no checkpoint keeps: use --ema_decay 0.999.",
    ModelPruning: "changes the weights' names in checkpoints, which nothing can load: leave it out.",
    OnExceptionCheckpoint: "makes a new training resume from an old file: a run has its last.ckpt already, saved "
    "within epochs by --checkpoints.every_n_steps.",
    BaseFinetuning: "freezes layers behind the optimizer that a checkpoint keeps: leave it out.",
}


def refuse_callbacks(callbacks: Sequence[Callback]) -> None:
    """Raise UsageError for a callback in REFUSED."""
    for callback in callbacks:
        for kind, reason in REFUSED.items():
            if isinstance(callback, kind):
                raise UsageError(f"{FLAG}: {type(callback).__name__} {reason}")


def place_checkpoints(callbacks: Sequence[Callback], run: Run) -> None:
    """Give each ModelCheckpoint a folder in the run; refuse a named folder whose checkpoints it could overwrite."""
    for callback in callbacks:
        if not isinstance(callback, ModelCheckpoint):
            continue
        if callback.dirpath is None:
            callback.dirpath = str((run.path / FOLDER).resolve())
        metric = re.search(r"{[^}]*/", callback.filename or "")
        if metric and callback.auto_insert_metric_name:
            raise UsageError(
                f"{FLAG}.filename {callback.filename} would make folders, as a metric's name in it has a slash: add "
                f"{FLAG}.auto_insert_metric_name=false."
            )
        folder = Path(callback.dirpath)
        is_of_a_run = folder.name == "checkpoints" and (folder.parent / "config.yaml").exists()
        if is_of_a_run or folder == run.best.parent.resolve():
            raise UsageError(
                f"{FLAG}.dirpath {folder} has the checkpoints of a run, which it could write over: name another "
                f"folder, or leave it out for {run.path / FOLDER}."
            )


def explain_failure(error: Exception, callbacks: Sequence[Callback], checkpoint: Path | None, has_begun: bool) -> None:
    """Raise an error that names the callback or, before the first batch, the checkpoint at fault; return otherwise."""
    if explain(error):
        return
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    callback = culprit(error.__traceback__, callbacks)
    name = type(callback).__name__
    if callback and not has_begun:
        raise UsageError(f"{FLAG}: {name} cannot be used here ({reason}).") from error
    if callback and type(callback).__module__.startswith("lightning."):
        raise RunError(f"{FLAG}: {name} ended the training ({reason}).") from error
    if checkpoint and not has_begun:
        raise UsageError(
            f"{checkpoint} cannot be resumed: {reason}; name one that fit wrote with this code "
            "(MNIST_TRACEBACK=1 shows where it failed)."
        ) from error


def culprit(trace: TracebackType | None, callbacks: Sequence[Callback]) -> Callback | None:
    """Return the callback in whose code an exception was raised, or None."""
    in_callback = None
    while trace is not None:
        owner = trace.tb_frame.f_locals.get("self")
        in_callback = next((callback for callback in callbacks if callback is owner), in_callback)
        trace = trace.tb_next
    return in_callback
