"""Best and last checkpoints, each always complete on the disk."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from src.files import link_atomic, write_atomic
from src.runs import Run

MONITOR = "val/acc"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints so that a reader or a kill never meets half of one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write ``checkpoint`` to ``path`` by way of a temporary file, flushed to the disk."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomic(Path(path), buffer.getvalue())


class Checkpoints(Checkpoint):
    """Saves the run's state after every epoch.

    ``best.ckpt`` is the epoch with the highest val/acc, the earliest of equals; without validation there is none.
    ``last.ckpt`` is the newest epoch, ``last.prev.ckpt`` the one before.

    Args:
        run: The run folder to save in.
        config: What a checkpoint must say about the request that made it, as plain values.
    """

    def __init__(self, run: Run, config: dict[str, Any]) -> None:
        self.run = run
        self.config = config
        self.best_score = float("-inf")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Agree on the best score: only the first rank knows the run's folder, and saving takes all ranks."""
        self.best_score = trainer.strategy.broadcast(self.best_score)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save; Lightning calls this after all callbacks that are no checkpoints."""
        score = float(trainer.callback_metrics.get(MONITOR, float("-inf")))
        improved = score > self.best_score
        if improved:
            self.best_score = score
            trainer.save_checkpoint(self.run.best)
        if trainer.is_global_zero and self.run.last.exists():
            link_atomic(self.run.last, self.run.last_prev)
        if not improved:
            trainer.save_checkpoint(self.run.last)
        elif trainer.is_global_zero:  # the same content: one file under two names
            link_atomic(self.run.best, self.run.last)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the request to the checkpoint."""
        checkpoint["config"] = self.config

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far."""
        return {"best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the best score so far from a checkpoint, unless its best.ckpt lies in another run's folder."""
        if self.run.best.exists():
            self.best_score = state_dict["best_score"]
