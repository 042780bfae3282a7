"""The flags and the callback for pictures in TensorBoard after fit and test."""

from pathlib import Path
from typing import Literal

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from src.data.datamodule import MNISTDataModule
from src.inspection.callback import Inspection
from src.runs.folder import Run
from src.runs.recipe import plain


def add_inspection(parser: LightningArgumentParser) -> None:
    """Add the flags."""
    parser.add_class_arguments(
        Inspection,
        "inspection",
        "TensorBoard beyond curves, after fit and test",
        skip={"run", "checkpoint", "data", "split", "command"},
        instantiate=False,
    )


def inspection(
    request: Namespace, run: Run, checkpoint: Path, data: MNISTDataModule, split: Literal["val", "test"], command: str
) -> Inspection:
    """Return the callback that a request asks for."""
    return Inspection(run, checkpoint, data, split, command, **plain(request.inspection))
