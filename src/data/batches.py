"""Whole batches by one indexed gather, in an order that depends on seed and epoch alone."""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """One rank's share of a global batch.

    Attributes:
        images: ``(B, 28, 28)``; uint8 as loaded, float32 after the data module normalized them.
        labels: ``(B,)`` int64 class numbers.
        positions: ``(B,)`` int64 positions of the samples in their split.
        global_size: The number of samples in the batch over all ranks.
    """

    images: Tensor
    labels: Tensor
    positions: Tensor
    global_size: int


class EpochOrder:
    """The order of the training samples as a pure function of seed and epoch.

    Lightning calls ``set_epoch`` on a loader's ``sampler`` before each epoch.

    Args:
        size: The number of samples.
        seed: Any integer.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0."""
        self.epoch = epoch

    def positions(self) -> Tensor:
        """Return all positions of the chosen epoch, ``(size,)`` int64."""
        # torch keeps 32 bits of a generator's seed, so both numbers are hashed instead of added or shifted
        digest = hashlib.sha256(f"{self.seed}/{self.epoch}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:4]))
        return torch.randperm(self.size, generator=generator)


class BatchLoader:
    """Iterates over a split that lies in memory; the last batch may be short, nothing is dropped or repeated.

    Each rank takes its own slice of every global batch; slices differ by at most one sample.

    Args:
        images: ``(N, 28, 28)`` uint8.
        labels: ``(N,)`` int64.
        batch_size: Samples in a global batch.
        sampler: The order of the samples, or None for the order of the split.
        rank: This process among ``world_size``.
        world_size: The number of processes that share each batch.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        sampler: EpochOrder | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.images = images
        self.labels = labels
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = None  # Lightning asks for it wherever there is a sampler
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        # a generator: the order is drawn at the first batch, because Lightning may call iter() before set_epoch()
        size = len(self.images)
        positions = torch.arange(size) if self.sampler is None else self.sampler.positions()
        for start in range(0, size, self.batch_size):
            global_size = min(self.batch_size, size - start)
            first = start + global_size * self.rank // self.world_size
            last = start + global_size * (self.rank + 1) // self.world_size
            chosen = positions[first:last]
            yield Batch(
                images=self.images[first:last] if self.sampler is None else self.images.index_select(0, chosen),
                labels=self.labels[first:last] if self.sampler is None else self.labels.index_select(0, chosen),
                positions=chosen,
                global_size=global_size,
            )
