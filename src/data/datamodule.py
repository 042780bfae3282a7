"""MNIST and its family for Lightning: placement, split, normalization and loaders."""

from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from src.data.batches import Batch, BatchLoader, EpochOrder, Split
from src.data.checks import sha256
from src.data.datasets import DATASETS, DatasetName
from src.data.idx import read_idx
from src.data.sources import find_files, place_files
from src.data.splits import mean_and_std, split_positions
from src.errors import UsageError

EVAL_BATCH_SIZE = 4_000  # no gradients are kept, so a few large batches cost less than many small ones
MAP_FROM_BYTES = 1 << 30
IMAGE_SHAPE = (28, 28)


class MNISTDataModule(LightningDataModule):
    """MNIST or a relative of it, as uint8; the first images train, the last ones validate, as in Keras.

    Args:
        dataset: The data set; it decides the files' names and the classes.
        data_dir: A folder that holds the four IDX files, plain or as .gz (or torchvision's ``DATASET/raw`` with
            them); it is only read. Left out, the data set is placed under ``data/``: MNIST from the installed package,
            checked by its SHA-256, the others by torchvision's download.
        batch_size: Samples in a training batch, over all devices together. The last batch of an epoch may be short.
        val_size: How many of the training images validate instead, as a number or as a fraction below 1; 0 trains
            on all of them.
        split: ``tail`` validates on the last images, as Keras does; ``stratified`` draws the same share of every
            class, to within one sample, the same in all runs.
        normalization: ``unit`` divides pixels by 255; ``standard`` also subtracts the mean of the training split
            and divides by its standard deviation; [mean, std] does so with these numbers, in units of pixel / 255.
        memory_map: Leave the training images on the disk, for sets larger than the memory. Left out, files from
            1 GiB up are mapped.
        on_device: Keep the images in the memory of the device that trains, as uint8, and gather batches there.
        seed: The order of the training images is a function of this and the epoch.
        steps_per_execution: Training batches that the loader hands over at once.

    Raises:
        UsageError: If an argument is out of its range, or the files are missing, damaged or do not fit together.
    """

    def __init__(
        self,
        dataset: DatasetName = "MNIST",
        data_dir: str | None = None,
        batch_size: int = 200,
        val_size: int | float = 12_000,
        split: Literal["tail", "stratified"] = "tail",
        normalization: Literal["unit", "standard"] | list[float] = "unit",
        memory_map: bool | None = None,
        on_device: bool = False,
        seed: int = 42,
        steps_per_execution: int = 1,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise UsageError(f"--data.batch_size must be at least 1, got {batch_size}.")
        if val_size < 0 or (isinstance(val_size, float) and val_size >= 1):
            raise UsageError(f"--data.val_size must be a whole number from 0 up or a fraction below 1, got {val_size}.")
        if isinstance(normalization, list) and (len(normalization) != 2 or not normalization[1] > 0):
            raise UsageError(f"--data.normalization [mean, std] needs two numbers, std above 0, got {normalization}.")
        if memory_map and on_device:
            raise UsageError("--data.memory_map and --data.on_device exclude each other: leave one of them out.")
        self.dataset: DatasetName = dataset
        self.data_dir = data_dir
        self.batch_size = batch_size
        self.val_size = val_size
        self.split = split
        self.normalization = normalization
        self.memory_map = memory_map
        self.on_device = on_device
        self.seed = seed
        self.steps_per_execution = steps_per_execution
        self.mean_std = (normalization[0], normalization[1]) if isinstance(normalization, list) else None
        self.files: list[Path] = []
        self.splits: dict[str, Split] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names; a label is a position in them."""
        return DATASETS[self.dataset].classes

    @property
    def origin(self) -> str:
        """Where the files come from, in words."""
        if self.data_dir:
            return "a folder of your own, as it is"
        return "the official MNIST, checked" if self.dataset == "MNIST" else "torchvision's download"

    def prepare_data(self) -> None:
        """Place the files unless a folder was named; safe to run in several processes at once."""
        if not self.files:
            self.files = find_files(Path(self.data_dir), self.dataset) if self.data_dir else place_files(self.dataset)

    def setup(self, stage: str) -> None:
        """Read what the stage needs: ``fit`` and ``validate`` the training files, ``test`` the test files.

        The result is in ``splits``: ``train`` and ``val``, or ``test``.
        """
        self.prepare_data()  # Lightning leaves it out on all ranks of a node but the first
        if stage == "test":
            if "test" not in self.splits:
                images, labels = self._read(*self.files[2:])
                self.splits["test"] = Split(images, labels, range(len(labels)))
        elif "train" not in self.splits:
            images, labels = self._read(*self.files[:2])
            train, val = split_positions(labels, self.val_size, self.split)
            if self.batch_size > len(train):
                raise UsageError(
                    f"--data.batch_size {self.batch_size:,} is larger than the training split: "
                    f"choose at most {len(train):,}, or a smaller --data.val_size."
                )
            self.splits["train"], self.splits["val"] = Split(images, labels, train), Split(images, labels, val)
            if self.normalization == "standard" and self.mean_std is None:
                self.mean_std = mean_and_std(self.splits["train"])

    def _read(self, images_path: Path, labels_path: Path) -> tuple[Tensor, Tensor]:
        """Return images ``(N, 28, 28)`` and labels ``(N,)``, both uint8."""
        dataset = DATASETS[self.dataset]
        large = images_path.suffix != ".gz" and images_path.stat().st_size >= MAP_FROM_BYTES
        images = read_idx(images_path, large if self.memory_map is None else self.memory_map)
        labels = read_idx(labels_path)
        if images.dtype != torch.uint8 or images.shape[1:] != IMAGE_SHAPE or len(images) == 0:
            raise UsageError(f"{images_path} holds {tuple(images.shape)} values, not images of 28 x 28.")
        if labels.dim() == 2 and labels.dtype == torch.int32 and labels.shape[1]:
            labels = labels[:, 0]  # QMNIST: the class, then who wrote it and where
        if labels.dim() != 1 or len(labels) != len(images):
            raise UsageError(
                f"{images_path} has {len(images):,} images but {labels_path} {labels.numel():,} labels: "
                "replace the one that does not belong."
            )
        lowest, highest = int(labels.min()), int(labels.max())
        first, last = dataset.first_label, dataset.first_label + len(dataset.classes) - 1
        if lowest < first or highest > last:
            wrong = lowest if lowest < first else highest
            raise UsageError(
                f"{labels_path} has the label {wrong}: the classes of {self.dataset} go from {first} to {last}."
            )
        return images.transpose(1, 2) if dataset.transposed else images, (labels - first).to(torch.uint8)

    def train_dataloader(self) -> BatchLoader:
        """Return the training batches, reshuffled every epoch."""
        order = EpochOrder(len(self.splits["train"].members), self.seed)
        return self._loader("train", self.batch_size, order, self.steps_per_execution)

    def val_dataloader(self) -> BatchLoader:
        """Return the validation batches in file order."""
        return self._loader("val", EVAL_BATCH_SIZE)

    def test_dataloader(self) -> BatchLoader:
        """Return the test batches in file order."""
        return self._loader("test", EVAL_BATCH_SIZE)

    def _loader(
        self, name: str, batch_size: int, sampler: EpochOrder | None = None, steps_per_execution: int = 1
    ) -> BatchLoader:
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if self.on_device and self.trainer:
            self._move_to(self.trainer.strategy.root_device)
        return BatchLoader(self.splits[name], batch_size, sampler, rank, world_size, steps_per_execution)

    def _move_to(self, device: torch.device) -> None:
        """Move the images to a device, once; the splits of a file share them."""
        placed: dict[int, Split] = {}
        for name, split in self.splits.items():
            first = placed.setdefault(id(split.images), Split(split.images.to(device), split.labels.to(device), range(0)))
            members = split.members if isinstance(split.members, range) else split.members.to(device)
            self.splits[name] = first._replace(members=members)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move the batch as uint8: a quarter of the bytes of float32."""
        return batch._replace(
            images=batch.images.to(device, non_blocking=True), labels=batch.labels.to(device, non_blocking=True)
        )

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Turn the images into normalized float32, on the device."""
        return batch._replace(images=self.normalize(batch.images))

    def normalize(self, images: Tensor) -> Tensor:
        """Turn uint8 pixels of any shape, 0 = background, into float32 as the network takes it."""
        pixels = images.float().div_(255)
        if self.mean_std is None:
            return pixels
        mean, std = self.mean_std
        return pixels.sub_(mean).div_(std)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must carry to read images as they were read in training."""
        return {"normalization": self.normalization, "mean_std": list(self.mean_std) if self.mean_std else None}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the statistics of a checkpoint, unless another normalization was asked for."""
        if state_dict["normalization"] == self.normalization and state_dict["mean_std"]:
            self.mean_std = tuple(state_dict["mean_std"])

    def describe(self) -> dict[str, Any]:
        """Say which data a run saw: the SHA-256 of each file by its path, and the size of each split."""
        return {
            "dataset": self.dataset,
            "origin": self.origin,
            "sha256": {str(path): sha256(path) for path in self.files},
            "split": {name: len(split.members) for name, split in self.splits.items()},
            "mean_std": self.mean_std,
        }
