"""MNIST, its family and other images for Lightning: placement, split, normalization and loaders."""

from functools import cached_property, partial
from math import inf, isfinite
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from src.common.errors import UsageError
from src.data.augment import Distortion
from src.data.batches import Batch, BatchLoader, EpochOrder, Split, moved
from src.data.datasets import DATASETS, DIGITS, DatasetName
from src.data.located import TEST_SIZE, Located, locate
from src.data.splits import UNIT, VAL_SIZE, Splits, mean_and_std, normalize, pixels_only, refuse_split, split_positions

EVAL_BATCH_SIZE = 4_000  # no gradients are kept, so a few large batches cost less than many small ones


class MNISTDataModule(LightningDataModule):
    """MNIST, a related data set or other images, as uint8; the last training images validate, as in Keras.

    Args:
        dataset: folder takes pictures of any format, size and colour from train/CLASS and test/CLASS in data_dir;
            arrays takes x_train.npy, y_train.npy, x_test.npy and y_test.npy, images (N, H, W) or (N, H, W, 3) uint8,
            and class names from classes.txt. CIFAR10 is the binary version, data_batch_1.bin to test_batch.bin,
            32 x 32 in colour. The others are four IDX files with their published names and labels: 0 to 9, in EMNIST
            0 to 61 (byclass), 0 to 46 (balanced, bymerge) or 1 to 26 (letters). For IDX files of your own digits, use
            MNIST's file names (docs/data.md).
        data_dir: The folder with the data, which is only read. All four IDX files lie in it, or in torchvision's
            ``DATASET/raw`` below it, plain or as .gz: 28 x 28 unsigned bytes, white ink (255) on black (0), EMNIST's
            on their side as published. Left out, the data set is placed under ``data/``, MNIST from the installed
            package, the others by download; its SHA-256 is checked at every start.
        image_size: Height and width to give a folder's pictures; left out, the most frequent size.
        test_size: How many pictures to test on if the folder has no test, as a number or as a fraction below 1.
        batch_size: Samples in a training batch, over all devices together. The last batch of an epoch may be short.
        val_size: How many of the training images to validate on instead, as a number or as a fraction below 1; 0
            trains on all of them.
        split: ``tail`` validates on the last images, as Keras does; ``stratified`` draws the same share of every
            class, to within one sample, and the same images for every seed. Folds are cut in the same two ways.
        fold: Which fold validates in k-fold cross-validation, counted from 0; the other folds train.
        folds: How many folds of equal size to cut the training images into, instead of ``val_size``.
        normalization: ``unit`` divides pixels by 255; ``standard`` also subtracts the mean of the training split
            and divides by its standard deviation; [mean, std] uses these numbers, in units of pixel / 255.
        deskew: Set slanted digits, white on black, upright by the moments of their ink, in training and wherever the
            network is used; a background that is not black is subtracted first.
        memory_map: Map the images from the disk, for data larger than the memory, and refuse .gz files; left out,
            plain files of 1 GiB or more are mapped.
        distortion: Random distortion of the training images, different in every epoch; none if no strength is given.
        on_device: Keep the images in the training device's memory, as uint8, and gather batches there.
        seed: Decides, with the epoch, the order of the training images, and with their positions their distortion.
        steps_per_execution: Training batches that the loader hands over at once.
    """

    def __init__(
        self,
        dataset: DatasetName = "MNIST",
        data_dir: str | None = None,
        image_size: list[int] | None = None,
        test_size: int | float = TEST_SIZE,
        batch_size: int = 200,
        val_size: int | float = VAL_SIZE,
        split: Literal["tail", "stratified"] = "tail",
        fold: int | None = None,
        folds: int | None = None,
        normalization: Literal["unit", "standard"] | list[float] = "unit",
        deskew: bool = False,
        memory_map: bool | None = None,
        distortion: Distortion = Distortion(),  # noqa: B008 - frozen
        on_device: bool = False,
        seed: int = 42,
        steps_per_execution: int = 1,
    ) -> None:
        super().__init__()
        if not (isinstance(batch_size, int | Integral) and batch_size >= 1):
            raise UsageError(f"`batch_size` must be a whole number from 1 up, got {batch_size!r}.")
        is_size = isinstance(image_size, list | tuple) and len(image_size) == 2 and min(image_size) >= 1
        if image_size is not None and not is_size:
            raise UsageError(f"`image_size` needs a height and a width, such as [32, 32], got {image_size}.")
        refuse_split(val_size, fold, folds)
        if isinstance(normalization, list) and not (
            len(normalization) == 2 and isfinite(normalization[0]) and 0 < normalization[1] < inf
        ):
            raise UsageError(f"`normalization` [mean, std] needs two numbers, std above 0, got {normalization}.")
        if distortion.upstroke and (dataset not in DATASETS or DATASETS[dataset].classes != DIGITS):
            raise UsageError(f"`upstroke` is for the digit 1, and {dataset} has none: leave it out.")
        if memory_map and on_device:
            raise UsageError("`memory_map` and `on_device` exclude each other: leave one of them out.")
        self.dataset: DatasetName = dataset
        self.data_dir, self.image_size, self.test_size = data_dir, image_size, test_size
        self.batch_size, self.normalization, self.deskew = batch_size, normalization, deskew
        self.val_size, self.split, self.fold, self.folds = val_size, split, fold, folds
        self.memory_map, self.distortion, self.on_device = memory_map, distortion, on_device
        self.seed, self.steps_per_execution, self.splits = seed, steps_per_execution, Splits()
        self.mean_std = (normalization[0], normalization[1]) if isinstance(normalization, list) else None
        self._shared: Split | None = None

    def share(self, other: "MNISTDataModule") -> None:
        """Reuse the training images of another data module, set up for ``fit``, if both read the same files."""
        if (self.located, self.memory_map, self.deskew) == (other.located, other.memory_map, other.deskew):
            self._shared = moved(other.splits, torch.device("cpu"))["train"]

    @cached_property
    def located(self) -> Located:
        """The files, found or placed at first use; safe in several processes at once."""
        return locate(self.dataset, self.data_dir, self.image_size, self.test_size)

    @property
    def files(self) -> list[Path]:
        """Training images, training labels, test images, test labels; CIFAR-10's files hold images and labels."""
        return self.located.files

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names; a label is a position in them."""
        return DATASETS[self.dataset].classes if self.dataset in DATASETS else self.located.classes

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of an image: (H, W), or (H, W, C) in colour."""
        return DATASETS[self.dataset].image_shape if self.dataset in DATASETS else self.located.image_shape

    def prepare_data(self) -> None:
        """Place the files unless a folder was named."""
        _ = self.located

    def setup(self, stage: str) -> None:
        """Read the splits of a stage into ``splits``: ``train`` and ``val``, or ``test``."""
        if stage not in ("fit", "validate", "test"):
            raise UsageError(f"`stage` must be fit, validate or test, got {stage!r}.")
        read = partial(self.located.read, memory_map=self.memory_map, deskew=self.deskew)
        if stage == "test" and "test" not in self.splits:
            self.splits["test"] = read("test")
        if stage != "test" and "train" not in self.splits:
            if stage == "fit" and not self._shared:
                read("test")  # to find damage now, not after the training
            whole = self._shared or read("train")
            train, val = split_positions(whole.file_labels, self.val_size, self.split, self.fold, self.folds)
            if (size := self.batch_size) > (most := len(train)):
                raise UsageError(f"`batch_size` {size:,} is larger than the training split: choose at most {most:,}.")
            self.splits["train"], self.splits["val"] = (whole._replace(members=members) for members in (train, val))
            if self.normalization == "standard" and self.mean_std is None:
                self.mean_std = mean_and_std(self.splits["train"])

    def train_dataloader(self) -> BatchLoader:
        """Return the training batches, reshuffled every epoch, or in file order with overfit_batches."""
        shuffles = not (self.trainer and self.trainer.overfit_batches)  # type: ignore[attr-defined]
        order = EpochOrder(len(self.splits["train"].members), self.seed) if shuffles else None
        return self._loader("train", self.batch_size, order, self.steps_per_execution)

    def val_dataloader(self) -> BatchLoader:
        """Return the validation batches in file order."""
        return self._loader("val", EVAL_BATCH_SIZE)

    def test_dataloader(self) -> BatchLoader:
        """Return the test batches in file order."""
        return self._loader("test", EVAL_BATCH_SIZE)

    def _loader(self, name: str, batch_size: int, order: EpochOrder | None = None, steps: int = 1) -> BatchLoader:
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if self.on_device and self.trainer:
            self.splits.update(moved(self.splits, self.trainer.strategy.root_device))
        return BatchLoader(self.splits[name], batch_size, order, rank, world_size, steps)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move the batch as uint8: a quarter of the bytes of float32."""
        images, labels, positions = (part.to(device, non_blocking=True) for part in batch[:3])
        return batch._replace(images=images, labels=labels, positions=positions)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Turn the images into normalized float32, distorted in training, on the device."""
        images = batch.images
        if self.distortion != Distortion() and batch.epoch is not None:
            # one optimizer step's images at a time: those of all steps would not fit into the processor's cache
            parts = [torch.split(part, batch.sizes) for part in (images, batch.positions, batch.labels)]
            steps = zip(*parts, strict=True)
            images = torch.cat([self.distortion(part.float(), self.seed, batch.epoch, *rest) for part, *rest in steps])
        return batch._replace(images=normalize(images, *(self.mean_std or UNIT)))

    def normalize(self, images: Tensor) -> Tensor:
        """Turn uint8 pixels ``(B, H, W)`` or ``(B, H, W, C)`` into the network's input, ``(B, C, H, W)`` float32."""
        return normalize(pixels_only(images), *(self.mean_std or UNIT))

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a checkpoint needs to read images as in training, and to name their classes."""
        return {
            "normalization": self.normalization,
            "mean_std": list(self.mean_std) if self.mean_std else None,
            "deskew": self.deskew,
            "classes": list(self.classes),
            "image_shape": list(self.image_shape),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the checkpoint's mean and standard deviation, unless another normalization is configured."""
        if state_dict["normalization"] == self.normalization and state_dict["mean_std"]:
            self.mean_std = tuple(state_dict["mean_std"])
