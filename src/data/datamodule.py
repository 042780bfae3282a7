"""MNIST for Lightning: placement, split, normalization and loaders."""

from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from src.data.batches import Batch, BatchLoader, EpochOrder
from src.data.idx import read_idx
from src.data.sources import (
    OFFICIAL_SHA256,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    find_folder,
    place_mnist,
    sha256,
)
from src.errors import UsageError

DEFAULT_ROOT = Path("data")
EVAL_BATCH_SIZE = 2_000  # no gradients are kept, so a few large batches cost less than many small ones
NUM_CLASSES = 10
IMAGE_SHAPE = (28, 28)


class MNISTDataModule(LightningDataModule):
    """MNIST in memory as uint8; the first images train, the last ones validate, as in Keras.

    Args:
        data_dir: A folder that holds the four IDX files (or torchvision's ``MNIST/raw`` with them); it is only
            read. Left out, the official MNIST is placed under ``data/MNIST/raw`` and checked by its SHA-256.
        batch_size: Samples in a training batch, over all devices together. The last batch of an epoch may be short.
        val_size: How many of the last training images validate instead; 0 trains on all of them.
        normalization: ``unit`` divides pixels by 255; ``standard`` also subtracts the mean of the training split
            and divides by its standard deviation.
        seed: The order of the training images is a function of this and the epoch.

    Raises:
        UsageError: If an argument is out of its range, or the files are missing, damaged or do not fit together.
    """

    def __init__(
        self,
        data_dir: str | None = None,
        batch_size: int = 200,
        val_size: int = 12_000,
        normalization: Literal["unit", "standard"] = "unit",
        seed: int = 42,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise UsageError(f"--data.batch_size must be at least 1, got {batch_size}.")
        if val_size < 0:
            raise UsageError(f"--data.val_size must be 0 or more, got {val_size}.")
        self.data_dir = data_dir
        self.batch_size = batch_size
        self.val_size = val_size
        self.normalization = normalization
        self.seed = seed
        self.mean_std: tuple[float, float] | None = None
        self.folder: Path | None = None
        self.splits: dict[str, tuple[Tensor, Tensor]] = {}

    def prepare_data(self) -> None:
        """Place the official files unless a folder was named; safe to run in several processes at once."""
        if self.folder is None:
            self.folder = find_folder(Path(self.data_dir)) if self.data_dir else place_mnist(DEFAULT_ROOT)

    def setup(self, stage: str) -> None:
        """Read what the stage needs: ``fit`` and ``validate`` the training file, ``test`` the test file.

        The splits are kept in ``splits`` as ``{"train", "val", "test"}`` -> (images ``(N, 28, 28)`` uint8, labels
        ``(N,)`` int64).
        """
        if stage == "test":
            if "test" not in self.splits:
                self.splits["test"] = self._read(TEST_IMAGES, TEST_LABELS)
        elif "train" not in self.splits:
            images, labels = self._read(TRAIN_IMAGES, TRAIN_LABELS)
            train_size = len(images) - self.val_size
            if train_size < 1:
                raise UsageError(
                    f"--data.val_size {self.val_size:,} leaves nothing to train on: "
                    f"it must be below the {len(images):,} training images."
                )
            if self.batch_size > train_size:
                raise UsageError(
                    f"--data.batch_size {self.batch_size:,} is larger than the training split: "
                    f"choose at most {train_size:,}, or a smaller --data.val_size."
                )
            self.splits["train"] = images[:train_size], labels[:train_size]
            self.splits["val"] = images[train_size:], labels[train_size:]
            if self.normalization == "standard" and self.mean_std is None:
                self.mean_std = mean_and_std(self.splits["train"][0])

    def _read(self, images_name: str, labels_name: str) -> tuple[Tensor, Tensor]:
        if self.folder is None:  # on the nodes and ranks where Lightning leaves prepare_data out
            self.prepare_data()
        assert self.folder is not None
        images_path, labels_path = self.folder / images_name, self.folder / labels_name
        images, labels = read_idx(images_path), read_idx(labels_path)
        if images.shape[1:] != IMAGE_SHAPE or len(images) == 0:
            raise UsageError(f"{images_path} holds {tuple(images.shape)} values, not images of 28 x 28.")
        if labels.dim() != 1 or len(labels) != len(images):
            raise UsageError(
                f"{images_path} has {len(images):,} images but {labels_path} {labels.numel():,} labels: "
                "replace the one that does not belong."
            )
        if labels.max() >= NUM_CLASSES:
            raise UsageError(f"{labels_path} has the label {int(labels.max())}: classes go from 0 to 9.")
        return images, labels.long()

    def train_dataloader(self) -> BatchLoader:
        """Return the training batches, reshuffled every epoch."""
        return self._loader("train", self.batch_size, EpochOrder(len(self.splits["train"][0]), self.seed))

    def val_dataloader(self) -> BatchLoader:
        """Return the validation batches in file order."""
        return self._loader("val", EVAL_BATCH_SIZE)

    def test_dataloader(self) -> BatchLoader:
        """Return the test batches in file order."""
        return self._loader("test", EVAL_BATCH_SIZE)

    def _loader(self, split: str, batch_size: int, sampler: EpochOrder | None = None) -> BatchLoader:
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return BatchLoader(*self.splits[split], batch_size, sampler, rank, world_size)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move the batch as uint8: a quarter of the bytes of float32."""
        return batch._replace(
            images=batch.images.to(device, non_blocking=True), labels=batch.labels.to(device, non_blocking=True)
        )

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Turn the images into normalized float32, on the device."""
        return batch._replace(images=self.normalize(batch.images))

    def normalize(self, images: Tensor) -> Tensor:
        """Turn uint8 pixels of any shape into what the network takes.

        Args:
            images: uint8, 0 = background.

        Returns:
            float32 of the same shape.
        """
        pixels = images.float().div_(255)
        if self.mean_std is None:
            return pixels
        mean, std = self.mean_std
        return pixels.sub_(mean).div_(std)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must carry to read images as they were read in training."""
        return {"normalization": self.normalization, "mean_std": list(self.mean_std) if self.mean_std else None}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the normalization of a checkpoint, unless another kind was asked for."""
        if state_dict["normalization"] == self.normalization and state_dict["mean_std"]:
            self.mean_std = tuple(state_dict["mean_std"])

    def describe(self) -> dict[str, Any]:
        """Say which data a run saw: the folder, the SHA-256 of each file, and the size of each split."""
        assert self.folder is not None
        return {
            "folder": str(self.folder),
            "sha256": {name: sha256(self.folder / name) for name in OFFICIAL_SHA256},
            "split": {name: len(labels) for name, (_, labels) in self.splits.items()},
        }


def mean_and_std(images: Tensor) -> tuple[float, float]:
    """Compute mean and standard deviation of pixels / 255 exactly, from a histogram.

    Args:
        images: uint8 of any shape.

    Returns:
        Mean and (population) standard deviation in units of pixel / 255.

    Raises:
        UsageError: If all pixels are equal, so that nothing can be divided by the standard deviation.
    """
    counts = torch.bincount(images.flatten(), minlength=256).double()
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = (counts * values).sum() / counts.sum()
    std = ((counts * (values - mean) ** 2).sum() / counts.sum()).sqrt()
    if std == 0:
        raise UsageError("--data.normalization standard needs pixels that differ: all training pixels are equal.")
    return float(mean), float(std)
