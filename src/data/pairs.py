"""A file of images and the file of their labels, read and checked against each other and the data set."""

from pathlib import Path

import torch
from torch import Tensor

from src.common.errors import UsageError
from src.data.checks import reading
from src.data.datasets import DATASETS, DatasetName
from src.data.idx import read_idx

MAP_FROM_BYTES = 1 << 30
IMAGE_SHAPE = (28, 28)


def read_pair(
    images_path: Path, labels_path: Path, dataset: DatasetName, memory_map: bool | None = None
) -> tuple[Tensor, Tensor]:
    """Read images and labels that belong together.

    Args:
        images_path: An IDX file of images, plain or ``.gz``.
        labels_path: An IDX file of their labels, plain or ``.gz``.
        dataset: The data set, which decides the labels.
        memory_map: Map the images instead of reading them; left out, plain files from 1 GiB up are mapped.

    Returns:
        Images ``(N, 28, 28)`` uint8 as they lie in the file; class numbers ``(N,)`` uint8, counted from 0.

    Raises:
        UsageError: If a file is damaged, holds something else, or does not fit the other one or the data set.
    """
    if memory_map is None:
        with reading(images_path):
            memory_map = images_path.suffix != ".gz" and images_path.stat().st_size >= MAP_FROM_BYTES
    images, labels = read_idx(images_path, memory_map), read_idx(labels_path)
    if images.dtype != torch.uint8 or images.shape[1:] != IMAGE_SHAPE or len(images) == 0:
        raise UsageError(
            f"{images_path} holds {_describe(images)}, not images of 28 x 28 unsigned bytes: "
            "put the file of the images there."
        )
    if labels.dim() == 2 and labels.dtype == torch.int32 and labels.shape[1]:
        labels = labels[:, 0]  # QMNIST: the class, then who wrote it and where
    if labels.dim() != 1:
        raise UsageError(
            f"{labels_path} holds {_describe(labels)}, not one class number per image: write the numbers instead."
        )
    if len(labels) != len(images):
        raise UsageError(
            f"{images_path} has {len(images):,} images but {labels_path} {len(labels):,} labels: "
            "replace the one that does not belong."
        )
    first = DATASETS[dataset].first_label
    last = first + len(DATASETS[dataset].classes) - 1
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < first or highest > last:
        wrong = lowest if lowest < first else highest
        raise UsageError(
            f"{labels_path} has the label {wrong}: the classes of {dataset} go from {first} to {last}; "
            "name the data set that the labels belong to with --data.dataset."
        )
    return images, (labels - first).to(torch.uint8)


def _describe(values: Tensor) -> str:
    shape = " x ".join(f"{size:,}" for size in values.shape)
    return "nothing" if values.numel() == 0 else f"{shape} {'bytes' if values.dtype == torch.uint8 else 'integers'}"
