"""Which samples train and which validate, and the statistics of the ones that train."""

from typing import Any, Literal

import torch
from torch import Tensor

from src.common.errors import UsageError
from src.data.batches import Split

CHUNK = 10_000
UNIT = (0.0, 1.0)  # mean and std that leave pixel / 255 as it is


def split_positions(
    labels: Tensor, val_size: int | float, split: Literal["tail", "stratified"], name: str = "val_size"
) -> tuple[range | Tensor, range | Tensor]:
    """Split the positions of a file into training and validation.

    Args:
        labels: ``(N,)`` uint8.
        val_size: How many validate, as a number or as a fraction below 1.
        split: ``tail`` takes the last ones, ``stratified`` the same share of each class.
        name: What the number is called in an error.

    Returns:
        Both splits' positions, ascending.

    Raises:
        UsageError: If nothing would be left to train on.
    """
    size = len(labels)
    count = round(val_size * size) if isinstance(val_size, float) else val_size
    if count >= size:
        raise UsageError(
            f"`{name}` {val_size:,} leaves nothing to train on: it must be below the {size:,} training images."
        )
    if split == "tail":
        return range(size - count), range(size - count, size)
    chosen = _stratified(labels, count)
    validates = torch.zeros(size, dtype=torch.bool)
    validates[chosen] = True
    return (~validates).nonzero().flatten(), validates.nonzero().flatten()


def _stratified(labels: Tensor, count: int) -> Tensor:
    """Draw ``count`` positions so that each class has its share, by the method of the largest remainder."""
    # one seed for all runs: seeds and hyperparameters are then compared on the same images
    generator = torch.Generator().manual_seed(0)
    sizes = torch.bincount(labels, minlength=256)
    shares = sizes.double() * count / len(labels)
    counts = shares.floor().long()
    missing = count - int(counts.sum())
    counts[(shares - counts).argsort(descending=True, stable=True)[:missing]] += 1
    chosen = []
    for label in sizes.nonzero().flatten().tolist():
        members = (labels == label).nonzero().flatten()
        chosen.append(members[torch.randperm(len(members), generator=generator)[: counts[label]]])
    return torch.cat(chosen)


def pixel_counts(split: Split) -> Tensor:
    """Count how often each pixel value occurs in a split: ``(256,)`` int64, whatever its size in memory."""
    counts = torch.zeros(256, dtype=torch.int64)
    for start in range(0, len(split.members), CHUNK):
        members = split.members[start : start + CHUNK]
        here = slice(members.start, members.stop) if isinstance(members, range) else members
        counts += torch.bincount(split.file_images[here].flatten(), minlength=256)
    return counts


def mean_and_std(split: Split) -> tuple[float, float]:
    """Compute mean and standard deviation of a split's pixels / 255 exactly, from their histogram.

    Returns:
        Mean and (population) standard deviation in units of pixel / 255.

    Raises:
        UsageError: If all pixels are equal, so that nothing can be divided by the standard deviation.
    """
    counts = pixel_counts(split).double()
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = (counts * values).sum() / counts.sum()
    std = ((counts * (values - mean) ** 2).sum() / counts.sum()).sqrt()
    if std == 0:
        raise UsageError("`normalization` standard needs pixels that differ: all training pixels are equal.")
    return float(mean), float(std)


def pixels_only(images: Any) -> Tensor:
    """Return images, or refuse what is no batch of bytes: dividing floats by 255 once more would go unnoticed."""
    if isinstance(images, Tensor) and images.dtype == torch.uint8 and images.dim() in (3, 4):
        return images
    kind = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
    raise UsageError(
        f"`images` must be a uint8 tensor (N, H, W), pixels 0 to 255, got {kind}: torch.from_numpy(x) makes "
        "a tensor of an array, x[None] a batch of one image, (255 * x).round().byte() pixels of floats from 0 to 1."
    )


def normalize(images: Tensor, mean: float, std: float) -> Tensor:
    """Turn pixels from 0 (background) to 255 into what a network takes.

    Args:
        images: ``(B, H, W)`` or ``(B, H, W, C)``, uint8, or float32 that may be overwritten.
        mean: What to subtract from pixel / 255.
        std: What to divide the difference by.

    Returns:
        ``(B, C, H, W)`` float32.
    """
    pixels = images.float().div_(255)
    pixels = pixels if (mean, std) == UNIT else pixels.sub_(mean).div_(std)
    return pixels.unsqueeze(1) if pixels.dim() == 3 else pixels.permute(0, 3, 1, 2)


class Splits(dict[str, Split]):
    """The splits that were set up, by their names."""

    def __missing__(self, name: str) -> Split:
        """Say what sets it up."""
        stage = "test" if name == "test" else "fit"
        raise UsageError(f'`splits` has no "{name}" yet: call data.setup("{stage}") first.')
