"""The pictures in TensorBoard: what the network learned, where it fails, how sure it is."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from src.common.errors import FULL, UsageError
from src.common.events import event_file
from src.common.output import say, warn
from src.common.signals import StoppedError, signal_of
from src.data.datamodule import MNISTDataModule
from src.inspection.dashboards import OF_EVALUATION, OF_NETWORK, code, draw_graph, write_text
from src.inspection.findings import predict
from src.inspection.views import Evaluation, Network, guard
from src.model.classifier import Classifier
from src.runs.checkpoint import Checkpoint
from src.runs.folder import Run

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

PROJECTED = 2_000


@dataclass(eq=False)
class Inspection(Callback):
    """Shows in TensorBoard what the network learned, where it fails and how sure it is.

    All pictures show the best weights so far (the newest without a best.ckpt); their step is the weights' epoch. Only
    the first rank computes them, on the CPU and on copies, so the training is the same without pictures.

    Args:
        checkpoint: The best weights.
        data: The data; it must be set up.
        split: ``val`` after training, ``test`` after a test.
        enabled: Write pictures, PR curves, histograms, projector, graph and text beside the curves (fit and test).
        every_n_epochs: Write them also every so many epochs, if there are new best weights; 0 writes them only at the
            end of training.
        samples: Images in the projector. Left out, 2,000, or all if the split has fewer.
    """

    run: Run
    checkpoint: Path
    data: MNISTDataModule
    split: Literal["val", "test"]
    command: str
    enabled: bool = True
    every_n_epochs: int = 0
    samples: int | None = None

    def __post_init__(self) -> None:
        size = len(self.data.splits[self.split].members)
        self._projected = min(PROJECTED, size) if self.samples is None else self.samples
        if self.every_n_epochs < 0:
            raise UsageError(f"--inspection.every_n_epochs must be 0 or more, got {self.every_n_epochs}.")
        if size and not 1 <= self._projected <= size:
            images = f"{size:,} {self.split} images"
            raise UsageError(f"--inspection.samples must be from 1 to the {images}, got {self.samples}.")
        self._initial: nn.Module | None = None
        self._has_trained = False
        self._drawn: int | None = None  # the step of the newest pictures

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the initial weights, to show them too; remove the pictures of epochs that are trained again."""
        self._has_trained = True
        if folder := self._folder(trainer):
            with guard("this run"):
                if trainer.global_step == 0:
                    self._initial = copy_of_network(pl_module)
                for path, step in _steps(folder).items():
                    if step > trainer.current_epoch:  # after a step back TensorBoard no longer shows them
                        path.unlink()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Inspect the epochs so far, whose checkpoints are written by now."""
        epoch, folder = trainer.current_epoch, self._folder(trainer)
        if folder and self.every_n_epochs and epoch and epoch % self.every_n_epochs == 0:
            with guard("this run"):
                self._inspect_training(folder, pl_module, epoch, is_end=False)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Inspect the result of training."""
        if folder := self._folder(trainer):
            epoch = trainer.current_epoch
            try:
                with guard("this run"):
                    self._inspect_training(folder, pl_module, epoch, is_end=True)
            except BaseException as end:
                if not (number := signal_of(end)):
                    raise
                way_on = f"The network is saved; its pictures: {self.run.way_on} --trainer.max_epochs {epoch}"
                raise StoppedError(number, way_on * self.run.last.exists()) from end

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Inspect the test, in the run of the checkpoint; a checkpoint outside of a run has no curves to add to."""
        if self.enabled and trainer.is_global_zero and self.checkpoint.parent == self.run.best.parent:
            with guard("this test"), self._writing(self.run.path) as writer:
                net, step = self._best(pl_module, epoch=0)
                for name, value in trainer.callback_metrics.items():
                    if name.startswith("test/"):
                        writer.add_scalar(name, float(value), step)
                writer.add_text("test/command", code(self.command), step)
                self._draw_split(writer, self.run.path, net, step)

    def _folder(self, trainer: Trainer) -> Path | None:
        """Return the folder of TensorBoard's files, or None if there is nothing to write."""
        if not self.enabled or not trainer.is_global_zero:
            return None
        return next((Path(log.log_dir) for log in trainer.loggers if isinstance(log, TensorBoardLogger)), None)

    @contextmanager
    def _writing(self, folder: Path, ending: str = "") -> "Iterator[SummaryWriter]":
        threads = torch.get_num_threads()
        # one thread: many small operations take three times as long where threads wait for a busy core
        torch.set_num_threads(1)
        try:
            with event_file(folder, ending) as writer:
                yield writer
        except OSError as error:
            if error.errno not in FULL:
                raise
            self.enabled = False
            warn(f"no more pictures for TensorBoard, {folder} cannot be written: {error.strerror}; free some space.")
        finally:
            torch.set_num_threads(threads)

    def _inspect_training(self, folder: Path, pl_module: LightningModule, epoch: int, is_end: bool) -> None:
        net, step = self._best(pl_module, epoch)
        if self._initial is None and self._drawn is None:
            self._drawn = max(_steps(folder).values(), default=None)  # drawn by the process that this one resumes
        is_first, is_new = self._drawn is None, step != self._drawn
        if not is_new and not (is_end and self._has_trained):
            return
        with self._writing(folder, f".step{step}") as writer:
            if is_end:
                with guard("the text"):
                    write_text(writer, self.command, self.run, net, epoch)
            if is_new:  # TensorBoard wants one graph per run, and steps that never go back
                network = Network(writer, net, self.data, step, self._initial if is_first else None)
                network.draw([*OF_NETWORK, draw_graph] if is_first else OF_NETWORK)
                with guard("the validation split"):
                    self._draw_split(writer, folder, net, step)
        self._drawn = step

    def _draw_split(self, writer: "SummaryWriter", folder: Path, net: nn.Module, step: int) -> None:
        if not len(self.data.splits[self.split].members):
            say("No validation split, so TensorBoard has no pictures of mistakes; `test` adds them for the test split")
            return
        predictions = predict(net, self.data.splits[self.split], self.data)
        evaluation = Evaluation(writer, net, self.data, step, self.split, predictions, folder, self._projected)
        evaluation.draw(OF_EVALUATION)

    def _best(self, pl_module: LightningModule, epoch: int) -> tuple[nn.Module, int]:
        """Return a copy of the network with the checkpoint's weights, or else the current weights, and their epoch."""
        net = copy_of_network(pl_module)
        if not self.checkpoint.exists():
            return net, epoch
        saved = Checkpoint.read(self.checkpoint)
        net.load_state_dict(saved.weights)
        return net, saved.epochs


def copy_of_network(pl_module: LightningModule) -> nn.Module:
    """Return the network on the CPU in float32, without dropout."""
    assert isinstance(pl_module, Classifier)
    return copy.deepcopy(pl_module.net).cpu().float().eval()


def _steps(folder: Path) -> dict[Path, int]:
    """Return the event files with pictures of the training, and the step at the end of each file's name."""
    paths = folder.glob("events.out.tfevents.*")  # the file after NAME.stepN may be called NAME.stepN.1
    return {path: int(path.suffix[5:]) for path in paths if path.suffix.startswith(".step")}
