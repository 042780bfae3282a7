"""Where the images of a data set are, and their format: IDX, CIFAR-10's, NumPy files or pictures in folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from src.common.errors import UsageError
from src.common.files import reading
from src.data.arrays import find_arrays, read_arrays
from src.data.batches import Split
from src.data.checks import is_there
from src.data.cifar import read_records
from src.data.datasets import DATASETS, DatasetName
from src.data.deskew import upright
from src.data.idx import read_pair
from src.data.sources import find_files, place_files

TEST_SIZE = 0.2


@dataclass(frozen=True)
class Located:
    """The files of a data set: training images and labels, test images and labels (for CIFAR-10 five files and one).

    A label is a position in ``classes``; ``image_shape`` is (H, W), or (H, W, C) in colour.
    """

    dataset: DatasetName
    files: list[Path]
    classes: tuple[str, ...]
    image_shape: tuple[int, ...]

    def read(self, part: Literal["train", "test"], memory_map: bool | None = None, deskew: bool = False) -> Split:
        """Read and check all images of a part; ``deskew`` sets digits upright, in memory."""
        if deskew:
            if len(self.image_shape) > 2 or memory_map:
                raise UsageError("`deskew` is for grey images in memory: leave it out, or `memory_map`.")
            return upright(self.read(part, memory_map=False))
        if self.dataset == "CIFAR10":
            images, labels = read_records(self.files[:-1] if part == "train" else self.files[-1:], memory_map)
        else:
            images_path, labels_path = self.files[:2] if part == "train" else self.files[2:]
            if self.dataset in DATASETS:
                images, labels = read_pair(images_path, labels_path, self.dataset, memory_map)
            else:
                images, labels = read_arrays(images_path, labels_path, len(self.classes), memory_map)
            if (shape := tuple(images.shape[1:])) != self.image_shape:
                raise UsageError(f"{images_path} has images of {sides(shape)}, not {sides(self.image_shape)}.")
        is_transposed = self.dataset in DATASETS and DATASETS[self.dataset].transposed
        return Split(images, labels, torch.arange(len(labels)), is_transposed)


def locate(
    dataset: DatasetName,
    data_dir: str | None = None,
    image_size: Sequence[int] | None = None,
    test_size: int | float = TEST_SIZE,
) -> Located:
    """Find the files of a data set, place them if no folder is named, or make them from pictures.

    ``image_size`` and ``test_size`` are arguments of ``pictures.packed``.
    """
    if data_dir:
        with reading(Path(data_dir)):
            if not is_there(Path(data_dir)):
                raise UsageError(f"`data_dir` {data_dir}: there is no such folder; name another one.")
    if dataset in DATASETS:
        files = find_files(Path(data_dir), dataset) if data_dir else place_files(dataset)
        return Located(dataset, files, DATASETS[dataset].classes, DATASETS[dataset].image_shape)
    if data_dir is None:
        raise UsageError(f"`dataset` {dataset} needs `data_dir`: name the folder.")
    folder = Path(data_dir)
    if dataset == "folder":
        from src.data.pictures import packed  # imports Pillow, which other data sets do not need

        folder = packed(folder, image_size, test_size)
    return Located(dataset, *find_arrays(folder))


def sides(shape: Sequence[int]) -> str:
    """Return the shape of an image as text, such as 28 x 28."""
    return " x ".join(map(str, shape))
