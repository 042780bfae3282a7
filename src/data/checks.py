"""The SHA-256 that a data file should have, and the record of where a placed file came from."""

import json
import stat
from contextlib import suppress
from pathlib import Path

from src.common.files import read_object, reading, sha256, write_atomic
from src.data.datasets import DATASETS, DatasetName

DEFAULT_ROOT = Path("data")
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = DATASETS["MNIST"].files

# of the uncompressed files as Yann LeCun published them
OFFICIAL_SHA256 = {
    TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

RECORD = "SOURCE.json"


def read_record(folder: Path) -> dict[str, dict[str, str]]:
    """Return ``sha256`` and ``source`` of each file that was placed in a folder, by file name."""
    with suppress(OSError, ValueError):  # no record, or another program's file
        return {
            name: {key: str(entry[key]) for key in ("sha256", "source")}
            for name, entry in read_object(folder / RECORD).items()
            if isinstance(entry, dict) and {"sha256", "source"} <= entry.keys()
        }
    return {}


def add_to_record(folder: Path, digests: dict[str, str], source: str) -> None:
    """Record the SHA-256 of files that are about to be placed in a folder, and where they come from."""
    new = {name: {"sha256": value, "source": source} for name, value in digests.items()}
    write_atomic(folder / RECORD, json.dumps({**read_record(folder), **new}, indent=1).encode())


def wrong_files(folder: Path, dataset: DatasetName) -> list[str]:
    """Return the names of a data set's files that a folder lacks, or has with a wrong SHA-256.

    MNIST's files must have the official SHA-256, other files the recorded one; a file without a record is accepted.
    """
    record = {name: entry["sha256"] for name, entry in read_record(folder).items()}
    known = OFFICIAL_SHA256 if dataset == "MNIST" else record
    return [name for name in DATASETS[dataset].files if not is_right(folder / name, known.get(name))]


def is_right(path: Path, expected: str | None) -> bool:
    """Say whether a path is a regular file, and has the expected SHA-256 if there is one."""
    with reading(path):
        return is_there(path) and stat.S_ISREG(path.stat().st_mode) and expected in (None, sha256(path))


def is_there(path: Path) -> bool:
    """Say whether a path exists, like ``Path.exists``, but raise OSError where the system does not tell."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
