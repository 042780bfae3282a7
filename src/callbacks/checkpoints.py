"""The callback that saves a run's checkpoints."""

import signal
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from typing_extensions import override

from src.callbacks.monitor import Monitor
from src.common.errors import UsageError
from src.common.files import link_atomic
from src.common.signals import SignalWatch, StoppedError
from src.data.batches import BatchLoader
from src.model.exact import Exact
from src.runs.checkpoint import Checkpoint as SavedCheckpoint
from src.runs.folder import Run


class Checkpoints(Checkpoint):
    """Saves a checkpoint after every epoch, every ``every_n_steps`` steps, and when a signal ends the training.

    ``best.ckpt`` has the epoch with the best ``monitor``, the earliest of equals; without validation it does not exist.
    ``last.ckpt`` has the newest state, ``last.prev.ckpt`` the state before. A training that stops within an epoch
    (max_steps, max_time, early stopping) resumes at that step.

    Args:
        every_n_steps: Also save within epochs, after this number of optimizer steps; 0 saves after epochs only. A
            longer execution saves at its end.
        monitor: The validation metric that decides the best epoch of ``fit`` and of a sweep: val/acc, val/loss or a
            metric of ``model.metrics``.
        mode: Whether the smallest (min) or the largest (max) value is the best; by default min for a loss, else max.
    """

    def __init__(
        self,
        run: Run,
        config: dict[str, Any],
        every_n_steps: int = 0,
        monitor: str = "val/acc",
        mode: Literal["min", "max"] | None = None,
    ) -> None:
        if every_n_steps < 0:
            raise UsageError(f"--checkpoints.every_n_steps must be 0 or more, got {every_n_steps}.")
        self.run = run
        self.config = config
        self.every_n_steps = every_n_steps
        self.monitor = Monitor(monitor, mode)
        self.best_score = self.monitor.worst
        self.signals = SignalWatch()
        self._saved_step = self._step = 0
        self._batches_done: int | None = None
        self._is_cut = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Share rank 0's best score: only rank 0 reads the run folder, but all ranks must agree when to save."""
        self.best_score = trainer.strategy.broadcast(self.best_score)
        refuse_other_moments(trainer.optimizers)
        self._saved_step = self._step = trainer.global_step
        if self._batches_done is not None:  # a scheduler that needed the number of steps has reset the loader
            loader_of(trainer).load_state_dict({"batches_done": self._batches_done})
        self.signals.start()  # after Lightning's handlers
        if trainer.received_sigterm:  # by Lightning's handler, before ours was installed
            self.signals.received = signal.SIGTERM

    @override
    def on_exception(self, *_: Any, **__: Any) -> None:
        self.signals.stop()

    on_train_end = on_exception

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save within the epoch, if due; after its last batch, on_train_epoch_end saves."""
        if not pl_module.automatic_optimization:
            left = len(batch.sizes) - (trainer.global_step - self._step)
            self._is_cut = left > 0
            if left:  # max_steps has ended an execution
                loader = loader_of(trainer)
                loader.load_state_dict({"batches_done": loader.state_dict()["batches_done"] - left})
            self._step = trainer.global_step
        if trainer.is_last_batch:
            return
        stop = self._stop_signal(trainer)
        is_due = 0 < self.every_n_steps <= trainer.global_step - self._saved_step
        if stop or is_due or is_ending(trainer):
            assert isinstance(pl_module, Exact)
            pl_module.check_finite()
            self._save_last(trainer)
        if stop:
            raise StoppedError(stop, f"Go on with: {self.run.way_on}")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save within the epoch if its validation ends the training by early stopping."""
        is_within = not trainer.sanity_checking and not trainer.is_last_batch
        if is_within and is_ending(trainer) and self._saved_step != trainer.global_step:
            self._save_last(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the finished epoch; Lightning calls checkpoint callbacks after all others."""
        if not trainer.is_last_batch:
            return
        score = float(trainer.callback_metrics.get(self.monitor.name, self.monitor.worst))
        improved = self.monitor.is_better(score, self.best_score)
        if improved:
            self.best_score = score
            trainer.save_checkpoint(self.run.best)
        self._save_last(trainer, self.run.best if improved else None)
        if (stop := self._stop_signal(trainer)) and trainer.current_epoch + 1 != trainer.max_epochs:
            raise StoppedError(stop, f"Go on with: {self.run.way_on}")

    def _save_last(self, trainer: Trainer, same: Path | None = None) -> None:
        """Save ``last.ckpt``, as a second name of ``same`` if that file has the same content."""
        self._saved_step = trainer.global_step
        if trainer.is_global_zero and self.run.last.exists():
            link_atomic(self.run.last, self.run.last_prev)
        if same is None:
            trainer.save_checkpoint(self.run.last)
        elif trainer.is_global_zero:
            link_atomic(same, self.run.last)

    def _stop_signal(self, trainer: Trainer) -> int:
        """Return the signal that any rank has received, or 0, so that all ranks stop at the same step."""
        received = self.signals.received
        if trainer.world_size > 1 and trainer.strategy.reduce_boolean_decision(bool(received), all=False):
            return received or signal.SIGTERM
        return received

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the recipe and the number of the epoch's finished batches."""
        checkpoint["config"] = self.config
        is_whole = trainer.is_last_batch and not self._is_cut  # limit_train_batches may shorten it
        checkpoint["batches_done"] = 0 if is_whole else loader_of(trainer).state_dict()["batches_done"]

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take the number of finished batches; let callbacks keep their new arguments instead of the saved values."""
        self._batches_done = checkpoint.get("batches_done")  # version 0.1.0 left it to Lightning
        any_trainer: Any = trainer  # Lightning does not declare its callbacks
        for callback in any_trainer.callbacks:
            state = checkpoint["callbacks"].get(callback.state_key, {})
            # except ModelCheckpoint's folder: a run that branches off must not remove files of the first run
            for name in signature(type(callback)).parameters.keys() & state.keys() - {"dirpath"}:
                state[name] = getattr(callback, name, state[name])

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the best score if this run's best.ckpt has it; the checkpoint may be another run's or an earlier one."""
        if score_of(self.run.best) == state_dict["best_score"]:
            self.best_score = state_dict["best_score"]


def loader_of(trainer: Trainer) -> BatchLoader:
    """Return the loader of the training batches."""
    loader = trainer.train_dataloader
    assert isinstance(loader, BatchLoader)
    return loader


def refuse_other_moments(optimizers: list[torch.optim.Optimizer]) -> None:
    """Refuse optimizer state whose shapes differ from the parameters': fused kernels would read beyond it."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"] if group.get("fused") else ():
                for name, value in optimizer.state[parameter].items():
                    if isinstance(value, torch.Tensor) and value.dim() and value.shape != parameter.shape:
                        shapes = f"{tuple(value.shape)} instead of {tuple(parameter.shape)}"
                        raise UsageError(f"--ckpt_path: the optimizer's {name} is {shapes}: name another checkpoint.")


def is_ending(trainer: Trainer) -> bool:
    """Say whether Lightning's loop ends the training after this step."""
    met_minimum = trainer.current_epoch >= (trainer.min_epochs or 0) and trainer.global_step >= (trainer.min_steps or 0)
    return (trainer.should_stop and met_minimum) or 0 <= trainer.max_steps <= trainer.global_step


def score_of(checkpoint: Path) -> float | None:
    """Return the best score in a checkpoint; None if it cannot be read."""
    try:
        return SavedCheckpoint.read(checkpoint).best_score
    except (UsageError, OSError):  # missing or damaged
        return None
