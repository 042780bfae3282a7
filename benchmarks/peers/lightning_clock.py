"""The clock as a callback, for what trains with Lightning; an epoch includes its logging and its checkpoints."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.peers.common import Clock


class LightningClock(Callback):
    """Tells the clock.

    Args:
        val_acc: The name under which the validation accuracy is logged.
    """

    def __init__(self, val_acc: str = "val/acc") -> None:
        self.val_acc = val_acc
        self.clock = Clock()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *rest: Any) -> None:
        """Note the step."""
        self.clock.step()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the end of the epoch before: checkpoints are written after every callback's end of an epoch."""
        if trainer.current_epoch:
            self.clock.epoch(float(trainer.callback_metrics[self.val_acc]))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the end of the last epoch and report."""
        self.clock.epoch(float(trainer.callback_metrics[self.val_acc]))
        self.clock.report()
