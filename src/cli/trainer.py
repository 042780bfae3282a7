"""The Trainer's arguments that tie it to a run folder: callbacks and loggers."""

import re
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, ProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from src.callbacks.checkpoints import Checkpoints
from src.callbacks.console import Console
from src.callbacks.curves import Curves
from src.callbacks.evaluation import EvaluationResult
from src.callbacks.history import History
from src.callbacks.monitor import Monitor
from src.cli.callbacks import place_checkpoints, refuse_callbacks
from src.common.errors import UsageError
from src.data.datamodule import MNISTDataModule
from src.launch.launcher import as_list
from src.runs.folder import RUNS_FOLDER, Run
from src.runs.recipe import plain, recipe_of


class OneBatchTrainer(Trainer):
    """Lightning's Trainer, where a limit of 1 is one batch on the command line too.

    Lightning annotates float before int, so the parser would turn 1 into 1.0, which means all batches.

    Args:
        limit_train_batches: Training batches of an epoch: a whole number, or a fraction, where 1.0 is all batches.
        limit_val_batches: Validation batches likewise.
        limit_test_batches: Test batches likewise.
        kwargs: All other arguments of Lightning's Trainer.
    """

    def __init__(
        self,
        limit_train_batches: int | float | None = None,
        limit_val_batches: int | float | None = None,
        limit_test_batches: int | float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            limit_train_batches=limit_train_batches,
            limit_val_batches=limit_val_batches,
            limit_test_batches=limit_test_batches,
            **kwargs,
        )


def training_settings(
    request: Namespace, trainer_args: Namespace, run: Run, data: MNISTDataModule, epochs_done: int
) -> dict[str, Any]:
    """Return the Trainer's arguments for ``fit``; the data must be set up."""
    config = recipe_of(request)
    history = History(run, config, data, Monitor.of(request))
    user_callbacks = as_list(trainer_args.callbacks)
    refuse_callbacks(user_callbacks)
    place_checkpoints(user_callbacks, run)
    callbacks: list[Callback] = [history, *user_callbacks]
    if request.ema_decay is not None:  # before every callback that may save after a step
        callbacks.insert(0, EMAWeightAveraging(decay=request.ema_decay))
    if trainer_args.enable_progress_bar is not False and not any(
        isinstance(callback, ProgressBar) for callback in user_callbacks
    ):
        callbacks.append(Console(run, history))
    if trainer_args.enable_checkpointing is not False:
        callbacks.append(Checkpoints(run, config, **plain(request.checkpoints)))
    batches = _batches(trainer_args, data)
    interval = trainer_args.val_check_interval  # in batches, or a time as text
    if trainer_args.check_val_every_n_epoch and not isinstance(interval, str) and (interval or 0) > max(batches, 1):
        raise UsageError(f"--trainer.val_check_interval {interval} is above the {batches} batches of an epoch.")
    share, val_batches = trainer_args.overfit_batches, len(data.val_dataloader())
    if isinstance(share, float) and 0 < share < 1 and share * min(batches, val_batches or batches) < 1:
        raise UsageError(f"--trainer.overfit_batches {share} is less than a batch: give a whole number, such as 1.")
    settings = {
        "callbacks": callbacks,
        "logger": _loggers(trainer_args, Curves(run.path, first_step=epochs_done + 1)),
        "log_every_n_steps": min(
            50 if trainer_args.log_every_n_steps is None else trainer_args.log_every_n_steps, batches
        ),
    }
    return settings if len(data.splits["val"].members) else {**settings, "limit_val_batches": 0}


def evaluation_settings(trainer_args: Namespace, checkpoint: Path) -> dict[str, Any]:
    """Return the Trainer's arguments for ``validate`` and ``test``; the result goes into the checkpoint's run."""
    warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`")  # about the training's callbacks
    return {
        "callbacks": [EvaluationResult(checkpoint), *as_list(trainer_args.callbacks)],
        **dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False),
    }


def _loggers(trainer_args: Namespace, curves: Curves) -> Any:
    """Return the loggers, with ``curves`` for a TensorBoardLogger in the folder of runs (configs/tensorboard.yaml)."""
    if trainer_args.logger in (None, True):
        return curves

    def is_for_runs(logger: Any) -> bool:
        return type(logger) is TensorBoardLogger and Path(logger.save_dir) == Path(RUNS_FOLDER)

    loggers = [curves if is_for_runs(logger) else logger for logger in as_list(trainer_args.logger)]
    return trainer_args.logger and list(dict.fromkeys(loggers))


def _batches(trainer_args: Namespace, data: MNISTDataModule) -> int:
    """Return the batches of an epoch within the Trainer's limits."""
    batches = len(data.train_dataloader())
    limit = trainer_args.overfit_batches or trainer_args.limit_train_batches
    if limit is None or not limit >= 0:  # the Trainer refuses a negative limit and NaN
        return batches
    return int(min(batches, limit if limit > 1 or isinstance(limit, int) else batches * limit))


def explain_trainer_message(message: str, names: Collection[str]) -> str:
    """Put the flag that a message of the Trainer's is about in front of the message."""
    message = " ".join(message.split())
    if "gpu backend" in message:
        return "--trainer.accelerator gpu: PyTorch finds no GPU here; add --trainer.accelerator cpu."
    named = next((word for word in re.findall(r"\w+", message) if word in names), None)
    return f"--trainer{'.' + named if named else ''}: {message}"
