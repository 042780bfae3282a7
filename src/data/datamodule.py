"""MNIST and its family for Lightning: placement, split, normalization and loaders."""

from math import inf, isfinite
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from src.common.errors import UsageError
from src.data.augment import Distortion
from src.data.batches import Batch, BatchLoader, EpochOrder, Split, moved
from src.data.datasets import DATASETS, DatasetName
from src.data.idx import read_pair
from src.data.sources import find_files, place_files
from src.data.splits import UNIT, mean_and_std, normalize, split_positions

EVAL_BATCH_SIZE = 4_000  # no gradients are kept, so a few large batches cost less than many small ones


class MNISTDataModule(LightningDataModule):
    """MNIST or a relative of it, as uint8; the first images train, the last ones validate, as in Keras.

    Args:
        dataset: The data set; it decides the four files' names and the classes, whatever the files hold: labels 0 to
            9 stand for its ten classes, in EMNIST 0 to 61 (byclass), 0 to 46 (balanced, bymerge), 1 to 26 (letters)
            or 0 to 9 (digits, mnist), and any other is refused. Digits of your own go by MNIST's names:
            train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, which
            FashionMNIST and KMNIST share. QMNIST's are qmnist-train-images-idx3-ubyte, qmnist-train-labels-idx2-int
            and so on with test, EMNIST's emnist-letters-train-images-idx3-ubyte and so on.
        data_dir: A folder that holds all four IDX files, or torchvision's ``DATASET/raw`` with them; each plain or
            as .gz, and plain where there are both. Images are 28 x 28 unsigned bytes, white ink (255) on black
            (0), EMNIST's lying on their side as published. The folder is only read; headers, sizes, counts and
            labels are checked, a SHA-256 is not. Left out, the data set is placed under ``data/``, MNIST from
            the installed package, the others by torchvision's download, and the SHA-256 of what was placed is checked
            at every start.
        batch_size: Samples in a training batch, over all devices together. The last batch of an epoch may be short.
        val_size: How many of the training images validate instead, as a number or as a fraction below 1; 0 trains
            on all of them.
        split: ``tail`` validates on the last images, as Keras does; ``stratified`` draws the same share of every
            class, to within one sample, the same images whatever the seed.
        normalization: ``unit`` divides pixels by 255; ``standard`` also subtracts the mean of the training split
            and divides by its standard deviation; [mean, std] does so with these numbers, in units of pixel / 255.
        memory_map: Leave the training images on the disk, and those of the test, for sets larger than the memory;
            .gz files are then refused. Left out, plain files from 1 GiB up are mapped.
        distortion: Random distortion of the training images, different in every epoch; without any strength, none.
        on_device: Keep the images in the memory of the device that trains, as uint8, and gather batches there.
        seed: The order of the training images is a function of this and the epoch; so is, with its position in the
            file, the distortion of each.
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
        distortion: Distortion = Distortion(),  # noqa: B008 - it cannot be changed
        on_device: bool = False,
        seed: int = 42,
        steps_per_execution: int = 1,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise UsageError(f"`batch_size` must be at least 1, got {batch_size}.")
        if not (0 <= val_size < 1 if isinstance(val_size, float) else val_size >= 0):
            raise UsageError(f"`val_size` must be a whole number from 0 up or a fraction below 1, got {val_size}.")
        if isinstance(normalization, list) and not (
            len(normalization) == 2 and isfinite(normalization[0]) and 0 < normalization[1] < inf
        ):
            raise UsageError(f"`normalization` [mean, std] needs two numbers, std above 0, got {normalization}.")
        if memory_map and on_device:
            raise UsageError("`memory_map` and `on_device` exclude each other: leave one of them out.")
        self.dataset: DatasetName = dataset
        self.data_dir = data_dir
        self.batch_size = batch_size
        self.val_size = val_size
        self.split = split
        self.normalization = normalization
        self.memory_map, self.distortion = memory_map, distortion
        self.on_device = on_device
        self.seed, self.steps_per_execution = seed, steps_per_execution
        self.mean_std = (normalization[0], normalization[1]) if isinstance(normalization, list) else None
        self.files: list[Path] = []
        self.splits: dict[str, Split] = {}
        self._shared: Split | None = None

    def share(self, other: "MNISTDataModule") -> None:
        """Take the training images from another one, set up for ``fit``, if it would read the same files."""
        if (self.dataset, self.data_dir, self.memory_map) == (other.dataset, other.data_dir, other.memory_map):
            self.files, self._shared = other.files, other.splits["train"]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names; a label is a position in them."""
        return DATASETS[self.dataset].classes

    def prepare_data(self) -> None:
        """Place the files unless a folder was named; safe to run in several processes at once."""
        if not self.files:
            self.files = find_files(Path(self.data_dir), self.dataset) if self.data_dir else place_files(self.dataset)

    def setup(self, stage: str) -> None:
        """Read what the stage needs: ``fit`` and ``validate`` the training files, ``test`` the test files.

        The result is in ``splits``: ``train`` and ``val``, or ``test``. ``fit`` checks the test files too, so that
        ``test`` does not fail afterwards, and keeps nothing of them.
        """
        self.prepare_data()  # Lightning leaves it out on all ranks of a node but the first
        if stage == "test" and "test" not in self.splits:
            images, labels = self.read("test")
            self.splits["test"] = self.split_of(images, labels, range(len(labels)))
        if stage != "test" and "train" not in self.splits:
            if self._shared:
                images, labels = self._shared.file_images.cpu(), self._shared.file_labels.cpu()
            else:
                if stage == "fit":
                    self.read("test")  # a damaged file is found now instead of after the training
                images, labels = self.read("train")
            train, val = split_positions(labels, self.val_size, self.split)
            if self.batch_size > len(train):
                raise UsageError(
                    f"`batch_size` {self.batch_size:,} is larger than the training split: "
                    f"choose at most {len(train):,}, or a smaller `val_size`."
                )
            self.splits["train"] = self.split_of(images, labels, train)
            self.splits["val"] = self.split_of(images, labels, val)
            if self.normalization == "standard" and self.mean_std is None:
                self.mean_std = mean_and_std(self.splits["train"])

    def read(self, part: Literal["train", "test"]) -> tuple[Tensor, Tensor]:
        """Read and check one part of the data set: images ``(N, 28, 28)`` and labels ``(N,)``, both uint8."""
        images, labels = self.files[:2] if part == "train" else self.files[2:]
        return read_pair(images, labels, self.dataset, self.memory_map)

    def split_of(self, images: Tensor, labels: Tensor, members: range | Tensor) -> Split:
        """Return some of the images of a file as a split."""
        return Split(images, labels, members, DATASETS[self.dataset].transposed)

    def train_dataloader(self) -> BatchLoader:
        """Return the training batches, reshuffled every epoch; always the first ones with overfit_batches."""
        trainer: Any = self.trainer
        shuffles = not (trainer and trainer.overfit_batches)
        order = EpochOrder(len(self.splits["train"].members), self.seed) if shuffles else None
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
            self.splits = moved(self.splits, self.trainer.strategy.root_device)
        return BatchLoader(self.splits[name], batch_size, sampler, rank, world_size, steps_per_execution)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move the batch as uint8: a quarter of the bytes of float32."""
        images, labels, positions = (part.to(device, non_blocking=True) for part in batch[:3])
        return batch._replace(images=images, labels=labels, positions=positions)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Turn the images into normalized float32, distorted in training, on the device."""
        images = batch.images
        if self.distortion != Distortion() and batch.epoch is not None:
            # one optimizer step's after the other: together they would not fit into the processor's cache
            parts = [torch.split(part, batch.sizes) for part in (images, batch.positions, batch.labels)]
            steps = zip(*parts, strict=True)
            images = torch.cat([self.distortion(part.float(), self.seed, batch.epoch, *rest) for part, *rest in steps])
        return batch._replace(images=self.normalize(images))

    def normalize(self, images: Tensor) -> Tensor:
        """Turn pixels of any shape, uint8 or float32 that may be overwritten, into what the network takes."""
        return normalize(images, *(self.mean_std or UNIT))

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must carry to read images as in training, and to name what they show."""
        return {
            "normalization": self.normalization,
            "mean_std": list(self.mean_std) if self.mean_std else None,
            "classes": list(self.classes),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the statistics of a checkpoint, unless another normalization was asked for."""
        if state_dict["normalization"] == self.normalization and state_dict["mean_std"]:
            self.mean_std = tuple(state_dict["mean_std"])
