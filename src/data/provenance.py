"""Which data a run saw, and where the data came from."""

import contextlib
from pathlib import Path
from typing import Any

from src.common.errors import UsageError
from src.common.files import sha256
from src.data.checks import read_record
from src.data.datamodule import MNISTDataModule
from src.data.datasets import DatasetName


def describe(data: MNISTDataModule) -> dict[str, Any]:
    """Describe the data of a run: the class names, SHA-256 and source of each file, and the size of each split."""
    digests = {}
    for path in data.files:
        with contextlib.suppress(UsageError):  # deleted since it was read: that must not cost the run's result
            digests[str(path)] = sha256(path)
    return {
        "dataset": data.dataset,
        "classes": list(data.classes),
        "sha256": digests,
        "source": {str(path): source for path, source in sources(data).items()},
        "split": {name: len(split.members) for name, split in data.splits.items()},
        "mean_std": data.mean_std,
    }


def source_of(path: Path, dataset: DatasetName) -> str:
    """Say where a file under ``data/`` comes from and whether its SHA-256 was checked."""
    entry = read_record(path.parent).get(path.name)
    origin = f"placed from {entry['source']}" if entry else f"found in {path.parent}"
    return f"{origin}, {'SHA-256' if entry or dataset == 'MNIST' else 'not'} checked"


def sources(data: MNISTDataModule) -> dict[Path, str]:
    """Say in words where each file comes from and whether it was checked."""
    return {
        path: "a folder of your own, not checked" if data.data_dir else source_of(path, data.dataset)
        for path in data.files
    }
