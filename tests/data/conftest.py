"""A data module on small IDX files."""

from pathlib import Path
from typing import Any

from src.data.datamodule import MNISTDataModule


def ready(folder: Path, stage: str = "fit", **settings: Any) -> MNISTDataModule:
    data = MNISTDataModule(data_dir=str(folder), **{"val_size": 60, "batch_size": 32, **settings})
    data.prepare_data()
    data.setup(stage)
    return data
