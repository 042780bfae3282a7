"""CIFAR-10's binary version: records of a label and an image's pixels, all red, then all green, then all blue."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from src.common.errors import UsageError
from src.common.files import read_regular, reading
from src.data.datasets import DATASETS

SHAPE = DATASETS["CIFAR10"].image_shape
RECORD_BYTES = 1 + math.prod(SHAPE)


def read_records(paths: Sequence[Path], memory_map: bool | None = None) -> tuple[Tensor, Tensor]:
    """Read and join files of records: images ``(N, 32, 32, 3)`` and class numbers ``(N,)``, both uint8."""
    if memory_map:
        raise UsageError("`memory_map` is not for CIFAR10, whose colours lie apart in its files: leave it out.")
    images, labels = [], []
    for path in paths:
        if path.suffix == ".gz":
            raise UsageError(f"{path} is compressed, and CIFAR10's files are read as they are: unpack it with gunzip.")
        with reading(path):
            content = np.frombuffer(read_regular(path), np.uint8)
        if not len(content) or len(content) % RECORD_BYTES:
            raise UsageError(
                f"{path} has {len(content):,} bytes, not whole images of CIFAR10 with {RECORD_BYTES:,} bytes each: "
                "replace it with a complete copy."
            )
        records = content.reshape(-1, RECORD_BYTES)
        if (last := len(DATASETS["CIFAR10"].classes) - 1) < records[:, 0].max():
            raise UsageError(
                f"{path} has the label {records[:, 0].max()}: the classes of CIFAR10 go from 0 to {last}; "
                "replace it with the original."
            )
        images.append(np.stack(np.split(records[:, 1:], SHAPE[-1], axis=1), axis=-1).reshape(-1, *SHAPE))
        labels.append(records[:, 0].copy())  # a view would keep the file's content in memory
    return torch.from_numpy(np.concatenate(images)), torch.from_numpy(np.concatenate(labels))
