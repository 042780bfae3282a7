"""Views of a network for TensorBoard; if a picture cannot be drawn, a warning says so and the others are drawn."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from src.common.drawing import Picture
from src.common.errors import FULL, cause_of
from src.common.output import warn
from src.data.batches import Batch
from src.data.datamodule import MNISTDataModule
from src.inspection.findings import Predictions

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@dataclass
class View:
    """A network to show."""

    writer: "SummaryWriter"
    net: nn.Module  # on the CPU
    data: MNISTDataModule
    step: int  # the epoch of the weights

    def add_picture(self, tag: str, picture: Picture) -> None:
        """Write a picture for the dashboard Images."""
        self.writer.add_image(tag, picture, self.step, dataformats="HWC")

    def draw(self, dashboards: Iterable[Callable[[Any], None]]) -> None:
        """Call functions named ``draw_NAME``, which write this view."""
        for dashboard in dashboards:
            name = dashboard.__name__.removeprefix("draw_").replace("_", " ")
            with guard(f"the {name}"):
                dashboard(self)


@dataclass
class Network(View):
    """A network by itself."""

    initial: nn.Module | None  # the network before training, if it is shown too

    @cached_property
    def batch(self) -> Batch:
        """The training batch of the first optimizer step, as the network sees it."""
        batch: Batch = self.data.on_after_batch_transfer(next(iter(self.data.train_dataloader())), 0)
        size = batch.sizes[0]
        return batch._replace(images=batch.images[:size].cpu(), labels=batch.labels[:size].cpu())


@dataclass
class Evaluation(View):
    """A network's predictions for a split."""

    split: str
    predictions: Predictions
    folder: Path  # the run, for the Projector's files
    samples: int  # images in the Projector

    def images(self, chosen: Tensor) -> Tensor:
        """Return the images of some predictions, upright, ``(N, H, W[, C])`` uint8."""
        split = self.data.splits[self.split]
        return split.upright(self.predictions.positions[chosen].to(split.file_images.device)).cpu()

    def title(self, text: str) -> str:
        """Return a heading with the data set, the split and the epoch."""
        return f"{text} ({self.data.dataset} {self.split}, weights of epoch {self.step})"


@contextmanager
def guard(missing: str) -> Iterator[None]:
    """Turn every failure into a warning that TensorBoard lacks ``missing``; a full disk is left to the caller."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        warn(f"TensorBoard lacks {missing} ({type(error).__name__}: {cause_of(error)})")
