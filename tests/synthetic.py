"""A small data set that is quickly learned."""

from pathlib import Path

import torch
from torch import Tensor

from src.data.checks import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from src.data.idx import write_idx


def synthetic_digits(size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noise with one bright row per class: learnable in an epoch or two, but not at once."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 10, (size,), generator=generator, dtype=torch.uint8)
    images = torch.randint(0, 120, (size, 28, 28), generator=generator, dtype=torch.uint8)
    images[torch.arange(size), 2 * labels.long() + 4] += 100
    return images, labels


def write_digits(folder: Path, train_size: int, test_size: int) -> Path:
    names = ((TRAIN_IMAGES, TRAIN_LABELS, train_size), (TEST_IMAGES, TEST_LABELS, test_size))
    for seed, (images_name, labels_name, size) in enumerate(names):
        images, labels = synthetic_digits(size, seed)
        write_idx(folder / images_name, images)
        write_idx(folder / labels_name, labels)
    return folder
