"""A look at a data set: ``python -m src.cli data``."""

from pathlib import Path

import torch
from torch import Tensor

from src.data.batches import Split
from src.data.checks import sha256
from src.data.datamodule import MNISTDataModule
from src.data.splits import mean_and_std
from src.errors import UsageError

SAMPLES = 10
MARGIN = 2


def report(data: MNISTDataModule, sheet: Path) -> str:
    """Describe a data set and write a sheet of ten samples per class.

    Args:
        data: The data module.
        sheet: The PNG file to write, a row per class; samples come from the training split.

    Returns:
        Sizes, counts per class and split, mean and standard deviation, and each file with its SHA-256.

    Raises:
        UsageError: If the files are missing or damaged, or the sheet cannot be written.
    """
    for stage in ("fit", "test"):
        data.setup(stage)
    counts = {name: class_counts(split, len(data.classes)) for name, split in data.splits.items()}
    width = max(len("class"), *map(len, data.classes)) + 2
    mean, std = mean_and_std(data.splits["train"])
    lines = [f"{data.dataset}: " + ", ".join(f"{int(count.sum()):,} {name}" for name, count in counts.items()), ""]
    lines.append(f"{'class':<{width}}" + "".join(f"{name:>8}" for name in counts))
    for label, name in enumerate(data.classes):
        lines.append(f"{name:<{width}}" + "".join(f"{int(count[label]):>8,}" for count in counts.values()))
    lines += ["", f"training pixels / 255: mean {mean:.6f}, std {std:.6f}", ""]
    lines += [f"{sha256(path)}  {path}" for path in data.files]
    _write_sheet(data.splits["train"], len(data.classes), sheet)
    return "\n".join([*lines, f"from {data.origin}", "", f"{SAMPLES} samples of each class: {sheet}"])


def class_counts(split: Split, classes: int) -> Tensor:
    """Count the samples of each class in a split: ``(classes,)`` int64."""
    return torch.bincount(split.labels[_positions(split)], minlength=classes)


def _positions(split: Split) -> Tensor:
    members = split.members
    return torch.arange(members.start, members.stop) if isinstance(members, range) else members


def _write_sheet(split: Split, classes: int, path: Path) -> None:
    """Write the first samples of each class as they lie in the file, white ink on black."""
    from torchvision.utils import save_image

    side = split.images.shape[1]
    tiles = torch.zeros(classes, SAMPLES, 1, side, side)
    positions = _positions(split)
    labels = split.labels[positions]
    for label in range(classes):
        chosen = positions[(labels == label).nonzero().flatten()[:SAMPLES]]
        tiles[label, : len(chosen), 0] = split.images[chosen].float() / 255
    try:
        save_image(tiles.flatten(0, 1), path, nrow=SAMPLES, padding=MARGIN, pad_value=0.3)
    except (OSError, ValueError) as error:  # Pillow does not know the extension
        raise UsageError(f"--output {path} cannot be written ({error}): name a .png file in a folder.") from error
