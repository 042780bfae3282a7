"""Whole batches by one indexed gather, in an order that depends on seed and epoch alone."""

import hashlib
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """One rank's share of one or several consecutive global batches.

    Attributes:
        images: ``(B, H, W)`` or ``(B, H, W, C)`` uint8 as loaded; ``(B, C, H, W)`` float32 once normalized.
        labels: ``(B,)`` int64 class numbers.
        positions: ``(B,)`` int64 positions of the samples in their file.
        sizes: How many of the samples belong to each global batch; they sum to B.
        global_sizes: The number of samples in each global batch over all ranks.
        epoch: The epoch, counted from 0, whose order the samples have; None in file order.
    """

    images: Tensor
    labels: Tensor
    positions: Tensor
    sizes: list[int]
    global_sizes: list[int]
    epoch: int | None = None


class Split(NamedTuple):
    """Some of the samples of a pair of files.

    Attributes:
        file_images: All images of the file, ``(N, H, W)`` or ``(N, H, W, C)`` uint8, in memory or mapped.
        file_labels: All labels of the file, ``(N,)`` uint8.
        members: ``(M,)`` int64, the positions in the file that belong to the split.
        transposed: Whether the file stores the images on their side; batches are always upright.
    """

    file_images: Tensor
    file_labels: Tensor
    members: Tensor
    transposed: bool = False

    @property
    def images(self) -> Tensor:
        """The images of the split, upright: ``(M, H, W[, C])`` uint8."""
        return self.upright(self.members)

    @property
    def labels(self) -> Tensor:
        """The labels of the split: ``(M,)`` uint8."""
        return self.file_labels[self.members]

    def upright(self, positions: Tensor) -> Tensor:
        """Return the images at these positions of the file, upright: ``(B, H, W[, C])`` uint8."""
        images = self.file_images.index_select(0, positions)
        return images.transpose(1, 2) if self.transposed else images  # after the gather: whole rows are faster


def moved(splits: dict[str, Split], device: torch.device) -> dict[str, Split]:
    """Return the splits on a device; splits of the same file share one copy of its images."""
    to_device = cache(lambda tensor: tensor.to(device))
    placed = {}
    for name, split in splits.items():
        images, labels, members = map(to_device, split[:3])
        placed[name] = split._replace(file_images=images, file_labels=labels, members=members)
    return placed


class EpochOrder:
    """The order of the training samples as a pure function of seed and epoch.

    Lightning calls ``set_epoch`` on a loader's ``sampler`` before each epoch.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0."""
        self.epoch = epoch

    def order(self) -> Tensor:
        """Return the positions from 0 to ``size - 1`` in the chosen epoch's order, int64."""
        # torch keeps 32 bits of a generator's seed, so both numbers are hashed instead of added or shifted
        digest = hashlib.sha256(f"{self.seed}/{self.epoch}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:4]))
        return torch.randperm(self.size, generator=generator)


class BatchLoader:
    """Iterates over a split; the last batch may be short, nothing is dropped or repeated.

    Each rank takes its slice of every global batch of ``batch_size``; slice sizes differ by at most one sample. The
    ``sampler`` decides the order; without a sampler, samples come in file order. ``steps_per_execution`` global batches
    are handed over at once, fewer at the end of an epoch. The position within the epoch is the loader's state:
    Lightning saves it in checkpoints, and a loader that has loaded a state starts there.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        sampler: EpochOrder | None = None,
        rank: int = 0,
        world_size: int = 1,
        steps_per_execution: int = 1,
    ) -> None:
        self.split = split
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = None  # Lightning reads this attribute of every loader that has a sampler
        self.rank = rank
        self.world_size = world_size
        self.steps_per_execution = steps_per_execution
        self._batches_done = 0
        self._start = 0

    @property
    def batches(self) -> int:
        """Global batches in an epoch."""
        return -(-len(self.split.members) // self.batch_size)

    def __len__(self) -> int:
        return -(-self.batches // self.steps_per_execution)

    def __iter__(self) -> Iterator[Batch]:
        # a generator: the order is drawn at the first batch, because Lightning may call iter() before set_epoch()
        members = self.split.members
        positions = members if self.sampler is None else members[self.sampler.order().to(members.device)]
        first_batch, self._start = self._start, 0
        for number in range(first_batch, self.batches, self.steps_per_execution):
            self._batches_done = min(number + self.steps_per_execution, self.batches)
            shards = [self._shard(batch) for batch in range(number, self._batches_done)]
            yield self._gather(torch.cat([positions[shard] for shard, _ in shards]), shards)

    def _shard(self, number: int) -> tuple[slice, int]:
        """Return this rank's slice of a global batch, in positions of the epoch, and the global batch's size."""
        start = number * self.batch_size
        global_size = min(self.batch_size, len(self.split.members) - start)
        first, last = (start + global_size * rank // self.world_size for rank in (self.rank, self.rank + 1))
        return slice(first, last), global_size

    def _gather(self, positions: Tensor, shards: list[tuple[slice, int]]) -> Batch:
        sizes = [shard.stop - shard.start for shard, _ in shards]
        global_sizes = [global_size for _, global_size in shards]
        labels = self.split.file_labels.index_select(0, positions).long()
        epoch = None if self.sampler is None else self.sampler.epoch
        return Batch(self.split.upright(positions), labels, positions, sizes, global_sizes, epoch)

    def state_dict(self) -> dict[str, int]:
        """Return how many batches of the epoch are done; 0 at its end, which is the start of the next epoch."""
        return {"batches_done": self._batches_done % self.batches}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Start the next iteration after the batches that are done."""
        self._start = self._batches_done = state_dict["batches_done"]
