"""A trained network for use outside of training: raw pixels in, probabilities out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from src.common.errors import RunError, UsageError, cause_of
from src.common.output import say
from src.data.batches import BatchLoader, Split
from src.data.datasets import DatasetName
from src.data.deskew import deskew
from src.data.located import TEST_SIZE, Located, locate, sides
from src.data.splits import UNIT, normalize, pixels_only
from src.model.networks import build_network
from src.runs.archive import shown
from src.runs.checkpoint import Checkpoint
from src.runs.folder import Run, runs_of

WEIGHTS = Path(__file__).parents[2] / "weights" / "digits.ckpt"  # used before anything was trained

AT_ONCE = 4_000  # images


class PixelClassifier(nn.Module):
    """A network on raw pixels, which are deskewed if ``deskew``, then normalized: (pixel / 255 - mean) / std."""

    def __init__(self, network: nn.Module, mean: float, std: float, deskew: bool = False) -> None:
        super().__init__()
        self.network = network
        self.mean = mean
        self.std = std
        self.deskew = deskew

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and probabilities, ``(N, classes)`` float32, for images, ``(N, H, W[, C])`` uint8."""
        images = deskew(images) if self.deskew else images
        logits: Tensor = self.network(normalize(images, self.mean, self.std))
        return logits, logits.softmax(dim=1)


@dataclass(frozen=True)
class Trained:
    """A checkpoint's network, ready for use.

    Attributes:
        checkpoint: The file.
        network: The network in float32 on the CPU, in evaluation mode.
        classes: The classes' names, in the order of the logits.
        image_shape: The shape of its images, (H, W) or (H, W, C).
        dataset: The name of the data set that it was trained on.
        recipe: The settings of its training, as plain values.
        sha256: The file's SHA-256, hexadecimal.
    """

    checkpoint: Path
    network: PixelClassifier
    classes: tuple[str, ...]
    image_shape: tuple[int, ...]
    dataset: str
    recipe: dict[str, Any]
    sha256: str

    @property
    def name(self) -> str:
        """The network, its run and its checkpoint as text, without the file's folder."""
        layers = [layer for layer in self.network.modules() if isinstance(layer, nn.Linear)]
        sizes = [*(layer.in_features for layer in layers[:1]), *(layer.out_features for layer in layers)]
        network = self.recipe["model"]["network"]
        kind = network.upper() if isinstance(network, str) else network["class_path"].rpartition(".")[2]
        in_run = self.checkpoint.parent.name == "checkpoints"
        run = [Run.of_checkpoint(self.checkpoint).path.name] if in_run else []
        return ", ".join([f"{kind} {'-'.join(map(str, sizes))}".rstrip(), *run, self.checkpoint.stem])

    @classmethod
    def load(cls, ckpt_path: str | Path | None, root: Path = Path(), network: nn.Module | None = None) -> "Trained":
        """Load the network of a checkpoint.

        Args:
            ckpt_path: A checkpoint file, a run folder (its best checkpoint), ``best`` or ``last`` of the newest run
                that has one; None for the best, or before the first run for the network in ``WEIGHTS``.
            root: The folder that holds ``lightning_logs``.
            network: The network, if its class is the user's own.
        """
        ckpt_path = str(ckpt_path or ("best" if any(run.last.exists() for run in runs_of(root)) else WEIGHTS))
        checkpoint = Checkpoint.find(ckpt_path, root)
        if checkpoint.path == WEIGHTS:
            say(f"the network that comes with the project: {checkpoint.path}")
        elif ckpt_path in ("best", "last"):
            say(f"{ckpt_path} of the newest run that has one: {Run.of_checkpoint(checkpoint.path).path}")
        return cls.of(checkpoint, network)

    @classmethod
    def of(cls, checkpoint: Checkpoint, network: nn.Module | None = None) -> "Trained":
        """Make the network of a checkpoint ready for use; raise UsageError if the checkpoint does not fit it."""
        mean, std = checkpoint.mean_std or UNIT
        pixel_classifier = PixelClassifier(network_of(checkpoint, network).float(), mean, std, checkpoint.deskew).eval()
        dataset = str(checkpoint.setting("data", "dataset"))
        images = checkpoint.classes, checkpoint.image_shape, dataset
        return cls(checkpoint.path, pixel_classifier, *images, checkpoint.recipe, checkpoint.sha256)

    def answer(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the network's logits and probabilities; raise RunError if a logit is not finite."""
        logits, probabilities = self.network(pixels_only(images))
        if not logits.isfinite().all():
            raise RunError(
                f"{self.checkpoint} answers with logits that are not finite: its weights are too large for float32; "
                "name another checkpoint."
            )
        return logits, probabilities

    def locate(self, data_dir: str | None = None) -> Located:
        """Find the training data in ``data_dir`` or the recipe's folder; raise UsageError if the data has changed."""
        match self.recipe.get("data"):
            case {"dataset": str(name), "data_dir": str() | None as folder} if name in get_args(DatasetName):
                dataset: DatasetName = name  # type: ignore[assignment]
                folder = data_dir or folder
            case _:
                raise UsageError(f"{self.checkpoint} does not say which data set it was trained on: name another.")
        if folder and not Path(folder).is_dir():
            raise UsageError(f"{folder} is not there: put the data back, or name its folder by `data_dir`.")
        located = locate(dataset, folder, self.image_shape[:2], self.recipe["data"].get("test_size", TEST_SIZE))
        if (shape := located.image_shape) != self.image_shape:
            raise UsageError(f"the data has images of {sides(shape)}, and the network takes {sides(self.image_shape)}.")
        return located


def answers(network: Callable[[Tensor], tuple[Tensor, Tensor]], split: Split) -> tuple[Tensor, Tensor]:
    """Return a network's logits and probabilities for the images of a split, each ``(N, classes)`` float32."""
    logits, probabilities = zip(*(network(batch.images) for batch in BatchLoader(split, AT_ONCE)), strict=True)
    return torch.cat(logits), torch.cat(probabilities)


def network_of(checkpoint: Checkpoint, network: nn.Module | None = None) -> nn.Module:
    """Return a checkpoint's network in evaluation mode, with the checkpoint's own tensors as weights.

    A network of the user's own class, which no checkpoint imports, is given as ``network``.
    """
    kind = checkpoint.setting("model", "network")
    if network is None and isinstance(kind, dict):
        raise UsageError(
            f"{checkpoint.path} has the network {shown(kind.get('class_path'))}, and no checkpoint imports code: name "
            "it again with --network (predict, export) or --model.network; serve, compare and "
            "--distillation.teacher take mlp and cnn only, so name another run (serve: by --ckpt_path)."
        )
    try:
        with torch.device("meta"):  # shapes without memory
            shape, hidden_units = checkpoint.image_shape, checkpoint.setting("model", "hidden_units")
            if network is None:
                network = build_network(kind, hidden_units, len(checkpoint.classes), image_shape=shape)
        network.load_state_dict(checkpoint.weights, strict=True, assign=True)
    except Exception as error:  # the type depends on the settings
        raise UsageError(f"{checkpoint.path} does not fit the network of its settings: {cause_of(error)}") from error
    return network.eval().requires_grad_(False)
