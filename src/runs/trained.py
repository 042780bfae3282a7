"""A trained network as it is used outside of training: raw pixels in, probabilities out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from src.common.errors import RunError
from src.data.splits import UNIT, normalize
from src.runs.checkpoint import Checkpoint


class PixelClassifier(nn.Module):
    """A network behind its normalization.

    Args:
        network: Takes ``(N, 28, 28)`` float32, normalized, and returns logits.
        mean: What to subtract from pixel / 255.
        std: What to divide the difference by.
    """

    def __init__(self, network: nn.Module, mean: float, std: float) -> None:
        super().__init__()
        self.network = network
        self.mean = mean
        self.std = std

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classify images.

        Args:
            images: ``(N, 28, 28)`` uint8, 0 = background.

        Returns:
            Logits and probabilities, each ``(N, classes)`` float32.
        """
        logits: Tensor = self.network(normalize(images, self.mean, self.std))
        return logits, logits.softmax(dim=1)


@dataclass(frozen=True)
class Trained:
    """A checkpoint's network, ready for use.

    Attributes:
        checkpoint: The file.
        network: The network in float32 on the CPU, in evaluation mode.
        classes: The classes' names, in the order of the logits.
        recipe: The request that made it, as plain values.
        sha256: Of the file, hexadecimal.
    """

    checkpoint: Path
    network: PixelClassifier
    classes: tuple[str, ...]
    recipe: dict[str, Any]
    sha256: str

    @classmethod
    def load(cls, ckpt_path: str, root: Path = Path()) -> "Trained":
        """Load the network of a checkpoint.

        Args:
            ckpt_path: A checkpoint file, a run folder (its best checkpoint), ``best`` or ``last`` of the newest run
                that has one.
            root: The folder that holds ``lightning_logs``.

        Raises:
            UsageError: If there is none, or it is damaged, or it does not come from this project.
        """
        checkpoint = Checkpoint.find(ckpt_path, root)
        mean, std = checkpoint.mean_std or UNIT
        network = PixelClassifier(checkpoint.network().float(), mean, std).eval()
        return cls(checkpoint.path, network, checkpoint.classes, checkpoint.recipe, checkpoint.sha256)

    def answer(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classify images as the network does.

        Args:
            images: ``(N, 28, 28)`` uint8, 0 = background.

        Returns:
            Logits and probabilities, each ``(N, classes)`` float32.

        Raises:
            RunError: If a logit is not finite.
        """
        logits, probabilities = self.network(images)
        if not logits.isfinite().all():
            raise RunError(
                f"{self.checkpoint} answers with logits that are not finite: its weights are too large for float32; "
                "name another checkpoint."
            )
        return logits, probabilities
