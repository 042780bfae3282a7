"""TensorBoard's curves, written so that a full disk is found by the thread that logs."""

import re
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from src.common.events import Events, name_after_all
from src.common.files import append

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def tag(name: str) -> str:
    """Return the tag of a metric: TensorBoard sorts them, and ``train/`` and ``val/`` are looked for first."""
    return re.sub("^best/val/", "val/best_", name) if "/" in name else f"trainer/{name}"


class Curves(TensorBoardLogger):
    """Lightning's TensorBoard logger, with one difference: ``save`` writes, in this thread, everything or nothing.

    TensorBoard takes what a run logged earlier from ``first_step`` on as not done.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        super().__init__(folder.parent, name="", version=folder.name, default_hp_metric=False)
        self.folder = folder
        self.first_step = first_step
        self._events: Events | None = None
        self._file: Path | None = None

    @property
    @rank_zero_experiment
    def experiment(self) -> "SummaryWriter":
        """The writer that collects events in memory."""
        return self._open().writer

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log scalars by their tags."""
        super().log_metrics({tag(name): value for name, value in metrics.items()}, step)

    @rank_zero_only
    def save(self) -> None:
        """Write what was logged since the last time; after an OSError the file ends as it did before."""
        self._open().write(self._append)

    def _open(self) -> Events:
        if self._events is None:
            self._events = Events(purge_step=self.first_step)
            self._events.write(self._append)  # now, before anything else that this process shows has a name
        return self._events

    def _append(self, name: str, content: bytes) -> None:
        self._file = self._file or self.folder / name_after_all(self.folder, name)
        append(self._file, content)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the rest, and let go of the memory; after a failure, as of a full disk, that is the one to be told."""
        if self._events is not None:
            with nullcontext() if status == "success" else suppress(OSError):
                self.save()
            self._events.close()
            self._events = self._file = None
