"""The lines and the progress bar on the screen during training."""

import sys
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from src.callbacks.history import History
from src.common.output import say
from src.common.system import WINDOWS
from src.model.classifier import Classifier
from src.model.networks import parameter_table
from src.runs.folder import RUNS_FOLDER, Run

REFRESH_SECONDS = 0.1


class Console(ProgressBar):
    """Prints the network, a line per epoch (with a bar on a terminal), and where to find the result.

    ``history`` must come before the console among the callbacks.
    """

    def __init__(self, run: Run, history: History) -> None:
        super().__init__()
        self.run = run
        self.history = history
        self.enabled = True
        self._bar: tqdm[Any] | None = None
        self._epochs_before = 0
        self._has_trained = False

    def disable(self) -> None:
        """Print nothing; Lightning calls this on every rank but the first."""
        self.enabled = False

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print without breaking the bar."""
        if self.enabled:
            say(" ".join(map(str, args)))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the network, the data, the device and the run."""
        self._epochs_before = len(self.history.epochs)
        sizes = {name: len(split.members) for name, split in self.history.datamodule.splits.items()}
        self.print(parameter_table(pl_module))
        self.print(f"Data     {sizes['train']:,} images to train, {sizes['val']:,} to validate")
        self.print(f"Device   {trainer.world_size} x {pl_module.device.type}")
        assert isinstance(pl_module, Classifier)
        if pl_module.distillation:
            self.print(f"Teacher  {pl_module.distillation.teacher}")
        before = f", resumed after epoch {self._epochs_before}" if self._epochs_before else ""
        self.print(f"Run      {self.run.path}{before}\n")

    def on_train_start(self, *_: Any) -> None:
        """Remember that epochs were left to train."""
        self._has_trained = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the epoch's bar on a terminal."""
        if self.enabled and sys.stdout.isatty():
            self._bar = tqdm(
                desc=_epoch(trainer.current_epoch + 1, trainer),
                total=self.total_train_batches,
                file=sys.stdout,
                mininterval=REFRESH_SECONDS,
                dynamic_ncols=True,
                bar_format="{desc} {percentage:3.0f}% |{bar:20}| {elapsed}{postfix}",
            )

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Move the bar; read metrics from the device only when the bar is redrawn."""
        if self._bar is not None and self._bar.update():
            assert isinstance(pl_module, Classifier)
            metrics = [f"{short(name)}: {value:.4f}" for name, value in pl_module.train_metrics.running().items()]
            self._bar.set_postfix_str(" - ".join(metrics))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch's line."""
        if self._bar is not None:
            self._bar.leave = False
            self._bar.close()
        if not trainer.is_last_batch:
            self.print(f"{_epoch(trainer.current_epoch + 1, trainer)} - stopped after step {trainer.global_step}")
            return
        record = self.history.epochs[-1]
        metrics = [f"{short(name)}: {value:.4f}" for name, value in record.items() if "/" in name]
        self.print(" - ".join([_epoch(int(record["epoch"]), trainer), shown_time(record["seconds"]), *metrics]))

    def on_exception(self, *_: Any) -> None:
        """Close the bar, so that the next message begins a line."""
        if self._bar is not None:
            self._bar.close()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print how training ended, and the command for TensorBoard."""
        best = self.history.best()
        epochs = len(self.history.epochs)
        if self._has_trained:
            self.print()
        else:
            limit = "max_steps" if 0 <= trainer.max_steps <= trainer.global_step else "max_epochs"
            done = "1 epoch is" if epochs == 1 else f"{epochs} epochs are"
            self.print(f"Nothing left to train: {done} done; ask for more with --trainer.{limit}")
        if best:
            place = f": {self.run.best}" if self.run.best.exists() else ""
            name = self.history.monitor.name
            self.print(f"Best {name} {best[name]:.4f} in epoch {best['epoch']}{place}")
        elif epochs:
            place = f"; the last epoch is {self.run.last}" if self.run.last.exists() else ""
            self.print(f"Nothing was validated, so there is no best.ckpt{place}")
        if epochs > self._epochs_before:
            seconds = sum(record["seconds"] for record in self.history.epochs)
            wanted = trainer.max_epochs or -1
            of_all = f" of {wanted}" if trainer.should_stop and epochs < wanted else ""
            self.print(f"Trained {epochs}{of_all} epoch{'s' * (of_all != '' or epochs != 1)} in {shown_time(seconds)}")
        runs = self.run.path.parent
        by_make = runs == Path(RUNS_FOLDER) and not WINDOWS
        self.print(f"Look at it:  {'make tensorboard' if by_make else f'tensorboard --logdir {runs}'}")


def _epoch(number: int, trainer: Trainer) -> str:
    limit = trainer.max_epochs
    return f"Epoch {number}" if limit is None or limit < 0 else f"Epoch {number}/{limit}"


def short(name: str) -> str:
    """Name a metric as Keras' log does: train/loss -> loss, val/loss -> val_loss."""
    return name.removeprefix("train/").replace("/", "_")


def shown_time(seconds: float) -> str:
    """Return seconds as text: ``2.3s``, ``43ms``."""
    return f"{seconds:.1f}s" if seconds >= 0.1 else f"{1000 * seconds:.0f}ms"
