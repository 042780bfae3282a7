"""The record of each epoch, in TensorBoard's scalars and HParams and in result.json."""

import json
import math
import platform
import subprocess
import time
from collections.abc import Collection
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger
from torch import Tensor
from typing_extensions import override

from src.callbacks.checkpoints import score_of
from src.callbacks.curves import hyperparameters, tag
from src.callbacks.monitor import Monitor
from src.common.errors import RunError
from src.common.files import read_note, write_atomic
from src.data.datamodule import MNISTDataModule
from src.data.provenance import describe
from src.model.classifier import Classifier
from src.runs.folder import Run

PACKAGES = ("torch", "lightning", "torchmetrics", "torchvision", "tensorboard", "jsonargparse")


class History(Callback):
    """Records every epoch in the loggers and in result.json.

    An epoch's scalars are flushed before its checkpoint is saved, so a killed process never leaves a checkpoint whose
    curves have a gap. A scalar's step is its epoch, counted from 1.

    Attributes:
        epochs: One record per finished epoch: its number, the metrics by name, lr, seconds and samples_per_second
            (in an epoch resumed in its middle, the last two count from the resume).
        swept: The keys that a sweep varies, which HParams always shows.
    """

    def __init__(self, run: Run, config: dict[str, Any], datamodule: MNISTDataModule, monitor: Monitor) -> None:
        self.run = run
        self.monitor = monitor
        self.config = config
        self.datamodule = datamodule
        self.epochs: list[dict[str, float]] = []
        self.swept: Collection[str] = ()
        self._inherited = 0  # epochs of the run that this run branched off from; this run has no best.ckpt of them
        self._trained = False  # whether this process has trained an epoch
        self._started = 0.0
        self._samples_before = 0  # of the resumed epoch, trained by an earlier process
        self._validation: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the logger the hyperparameters and the layout that overlays train and val."""
        assert isinstance(pl_module, Classifier)
        values = hyperparameters(self.config, self.swept)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(values)
                names = [name.partition("/")[2] for name in pl_module.train_metrics.names]
                charts = {name: ["Multiline", [f"train/{name}", f"val/{name}"]] for name in names}
                logger.experiment.add_custom_scalars({"train and val": charts})
            # MLflow refuses to change the settings that a run was begun with, such as max_epochs
            elif not isinstance(logger, MLFlowLogger) or len(self.epochs) == self._inherited:
                # other loggers have their own folders, so the run must be named
                logger.log_hyperparams({**values, "run": str(self.run.path)})
        if trainer.is_global_zero:
            write_atomic(self.run.path / "hparams.yaml", yaml.safe_dump(values).encode())

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock for an epoch that is resumed in its middle."""
        self._started = time.perf_counter()
        loader: Any = trainer.train_dataloader
        self._samples_before = loader.state_dict()["batches_done"] * self.datamodule.batch_size

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = time.perf_counter()
        self._samples_before = 0
        self._validation = {}

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classifier)
        self._validation = pl_module.val_metrics.compute()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the epoch, validation included, unless it ended before its last batch."""
        if not trainer.is_last_batch:
            return
        assert isinstance(pl_module, Classifier)
        pl_module.check_finite()
        epoch = trainer.current_epoch + 1
        metrics = {**pl_module.train_metrics.compute(), **self._validation}
        record = {name: float(value) for name, value in metrics.items()}
        for name in ("val/loss", self.monitor.name):
            if not math.isfinite(record.get(name, 0.0)):
                raise RunError(f"{name} is {record[name]} after epoch {epoch}: lower --model.lr.")
        seconds = time.perf_counter() - self._started
        record["lr"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        data = self.datamodule
        limit = data.batch_size * data.steps_per_execution * trainer.num_training_batches
        samples = min(len(data.splits["train"].members), limit)
        record["samples_per_second"] = (samples - self._samples_before) / seconds
        for logger in trainer.loggers:
            logger.log_metrics(record, step=epoch)
            logger.save()
        self._trained = True
        self.epochs.append({"epoch": epoch, "seconds": seconds, **record})

    def best(self) -> dict[str, float] | None:
        """Return the record of the epoch in best.ckpt; None without a best epoch."""
        return self.monitor.best(self.epochs[self._inherited :])

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the best epoch's result to HParams, then result.json, unless it has these epochs already."""
        path = self.run.path / "result.json"
        if not trainer.is_global_zero or not self.epochs:
            return
        if read_note(path, epochs=list).get("epochs") == self.epochs:
            return
        if best := self.best():
            result = {f"best/{name}": best[name] for name in dict.fromkeys((self.monitor.name, "val/acc", "val/loss"))}
            for logger in trainer.loggers:
                if not isinstance(logger, TensorBoardLogger):
                    logger.log_metrics(result, step=int(self.epochs[-1]["epoch"]))
                elif not self._is_logged(logger, tag(next(iter(result)))):
                    tagged = {tag(name): value for name, value in result.items()}
                    values = hyperparameters(self.config, self.swept)
                    logger.log_hyperparams(values, tagged, step=int(self.epochs[-1]["epoch"]))
                    logger.save()
        content = {
            "config": self.config,
            "seed": self.config["seed_everything"],
            "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            "git_commit": git_commit(),
            "data": describe(self.datamodule),
            "parameters": sum(parameter.numel() for parameter in pl_module.parameters()),
            "epochs": self.epochs,
            "best": {**best, "checkpoint": str(self.run.best)} if best else None,
            "total_seconds": sum(record["seconds"] for record in self.epochs),
        }
        write_atomic(path, json.dumps(content, indent=2).encode())

    def _is_logged(self, logger: TensorBoardLogger, name: str) -> bool:
        """Say whether an earlier process, killed before it wrote result.json, has logged the result."""
        if self._trained:
            return False
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(logger.log_dir)).Reload()
        points = events.Scalars(name) if name in events.Tags()["scalars"] else []
        return any(point.step == self.epochs[-1]["epoch"] for point in points)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.epochs, "inherited": self._inherited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the finished epochs from a checkpoint, and check whether this run's best.ckpt is one of them."""
        self.epochs = list(state_dict["epochs"])
        self._inherited = state_dict["inherited"]
        best = self.best()
        if best is None or score_of(self.run.best) != best[self.monitor.name]:
            self._inherited = len(self.epochs)


def git_commit() -> str | None:
    """Return the commit of the working folder's repository, or None outside of a repository."""
    with suppress(OSError):  # git is not installed
        done = subprocess.run(["git", "rev-parse", "--verify", "HEAD"], capture_output=True, text=True)
        return done.stdout.strip() or None
    return None
