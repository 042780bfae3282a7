"""The split of samples into training and validation, and the statistics of the training split."""

from math import inf
from typing import Any, Literal

import torch
from torch import Tensor

from src.common.errors import UsageError, in_range
from src.data.batches import Split

CHUNK = 10_000
VAL_SIZE = 12_000
UNIT = (0.0, 1.0)  # mean and std that leave pixel / 255 as it is


def refuse_split(val_size: int | float, fold: int | None, folds: int | None, name: str = "val_size") -> None:
    """Refuse arguments that split no training file; the error calls ``val_size`` by ``name``."""
    if not in_range(val_size, 0, 1 if isinstance(val_size, float) else inf):
        raise UsageError(f"`{name}` must be a whole number from 0 up or a fraction below 1, got {val_size!r}.")
    if (fold is None) != (folds is None):
        raise UsageError(f"`fold` {fold} and `folds` {folds} need each other: say which part of how many validates.")
    if folds is not None and not (folds >= 2 and 0 <= (fold or 0) < folds):
        raise UsageError(f"`folds` {folds} must be at least 2, and `fold` {fold} one of them, counted from 0.")
    if folds is not None and val_size != VAL_SIZE:
        raise UsageError(f"`val_size` {val_size} does not go with `folds` {folds}: leave it out, or at {VAL_SIZE}.")


def split_positions(
    labels: Tensor,
    val_size: int | float,
    split: Literal["tail", "stratified"],
    fold: int | None = None,
    folds: int | None = None,
    name: str = "val_size",
) -> tuple[Tensor, Tensor]:
    """Split the positions of a file into training and validation.

    Args:
        labels: ``(N,)`` uint8.
        val_size: How many samples validate, as a number or as a fraction below 1, unless there are folds.
        split: ``tail`` takes the last samples, or folds in order; ``stratified`` the same share of each class.
        fold: Which of ``folds`` parts, equal in size to within one sample, validates instead.
        folds: The number of folds.
        name: The name of ``val_size`` in an error.

    Returns:
        Both splits' positions, ascending, int64.

    Raises:
        UsageError: If an argument is invalid, or nothing would be left to train on or, in a fold, to validate on.
    """
    refuse_split(val_size, fold, folds, name)
    size = len(labels)
    count = round(val_size * size) if isinstance(val_size, float) else val_size
    if folds is not None and folds > size:
        raise UsageError(f"`folds` {folds:,} is more than the {size:,} training images: ask for fewer.")
    if folds is None and count >= size:
        raise UsageError(
            f"`{name}` {val_size:,} leaves nothing to train on: it must be below the {size:,} training images."
        )
    if folds is None or fold is None:
        chosen = torch.arange(size - count, size) if split == "tail" else _stratified(labels, count)
    elif split == "tail":
        chosen = torch.arange(size * fold // folds, size * (fold + 1) // folds)
    else:  # dealt out like cards, class after class
        chosen = torch.cat(_by_class(labels))[fold::folds]
    validates = torch.zeros(size, dtype=torch.bool)
    validates[chosen] = True
    return (~validates).nonzero().flatten(), validates.nonzero().flatten()


def _by_class(labels: Tensor) -> list[Tensor]:
    """Return the positions of each class, in a fixed random order."""
    # one seed for all runs: seeds and hyperparameters are then compared on the same images
    generator = torch.Generator().manual_seed(0)
    classes = [(labels == label).nonzero().flatten() for label in range(256) if (labels == label).any()]
    return [members[torch.randperm(len(members), generator=generator)] for members in classes]


def _stratified(labels: Tensor, count: int) -> Tensor:
    """Draw ``count`` positions so that each class has its share, by the method of the largest remainder."""
    members = _by_class(labels)
    shares = torch.tensor([*map(len, members)], dtype=torch.float64) * count / len(labels)
    counts = shares.floor().long()
    counts[(shares - counts).argsort(descending=True, stable=True)[: count - int(counts.sum())]] += 1
    return torch.cat([some[:number] for some, number in zip(members, counts, strict=True)])


def mean_and_std(split: Split) -> tuple[float, float]:
    """Compute mean and (population) standard deviation of a split's pixels / 255 exactly, from their histogram."""
    counts = torch.zeros(256, dtype=torch.float64)
    for members in torch.split(split.members, CHUNK):  # a split may be larger than the memory
        counts += torch.bincount(split.file_images[members].flatten(), minlength=256)
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = (counts * values).sum() / counts.sum()
    std = ((counts * (values - mean) ** 2).sum() / counts.sum()).sqrt()
    if std == 0:
        raise UsageError("`normalization` standard needs pixels that differ: all training pixels are equal.")
    return float(mean), float(std)


def pixels_only(images: Any) -> Tensor:
    """Return images, or refuse a value other than a uint8 batch: floats divided by 255 twice would go unnoticed."""
    if isinstance(images, Tensor) and images.dtype == torch.uint8 and images.dim() in (3, 4):
        return images
    kind = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
    raise UsageError(
        f"`images` must be a uint8 tensor (N, H, W), pixels 0 to 255, got {kind}: torch.from_numpy(x) makes "
        "a tensor of an array, x[None] a batch of one image, (255 * x).round().byte() pixels of floats from 0 to 1."
    )


def normalize(images: Tensor, mean: float, std: float) -> Tensor:
    """Turn pixels, ``(B, H, W[, C])`` uint8 or float32 that may be overwritten, into ``(B, C, H, W)`` float32."""
    pixels = images.float().div_(255)
    pixels = pixels if (mean, std) == UNIT else pixels.sub_(mean).div_(std)
    return pixels.unsqueeze(1) if pixels.dim() == 3 else pixels.permute(0, 3, 1, 2)


class Splits(dict[str, Split]):
    """The splits that were set up, by name."""

    def __missing__(self, name: str) -> Split:
        """Raise a UsageError that names the call to set up the split."""
        if name not in ("train", "val", "test"):
            raise UsageError(f'`splits` has train, val and test, and no "{name}".')
        stage = "test" if name == "test" else "fit"
        raise UsageError(f'`splits` has no "{name}" yet: call data.setup("{stage}") first.')
