"""What there is to show: a network, and its predictions for a split."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from src.data.batches import Batch
from src.data.datamodule import MNISTDataModule
from src.inspection.findings import Predictions

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@dataclass
class Network:
    """A network to show.

    Attributes:
        writer: Where to write.
        net: The network, on the CPU.
        initial: The network before training, or None if it is not to be shown.
        batch: The first training batch as the network sees it.
        data: The data.
        step: The epoch of the weights.
    """

    writer: "SummaryWriter"
    net: nn.Sequential
    initial: nn.Sequential | None
    batch: Batch
    data: MNISTDataModule
    step: int


@dataclass
class Evaluation:
    """A network's predictions for a split, to show.

    Attributes:
        writer: Where to write.
        folder: The run, for the Projector's files.
        net: The network, on the CPU.
        found: The predictions.
        data: The data.
        split: ``val`` or ``test``.
        samples: Images in the Projector.
        step: The epoch of the weights.
    """

    writer: "SummaryWriter"
    folder: Path
    net: nn.Sequential
    found: Predictions
    data: MNISTDataModule
    split: str
    samples: int
    step: int

    def images(self, chosen: Tensor) -> Tensor:
        """Return the images of some predictions, upright, ``(N, 28, 28)`` uint8."""
        split = self.data.splits[self.split]
        return split.upright(self.found.positions[chosen].to(split.file_images.device)).cpu()

    def title(self, text: str) -> str:
        """Return a heading that says what the picture belongs to."""
        return f"{text} ({self.data.dataset} {self.split}, weights of epoch {self.step})"
