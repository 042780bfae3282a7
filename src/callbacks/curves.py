"""TensorBoard's curves, written so that a full disk is found by the thread that logs."""

from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import fsspec
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from src.callbacks.events import name_after_all, without_tensorflow
from src.files import append

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Curves(TensorBoardLogger):
    """Lightning's TensorBoard logger, with one difference: ``save`` writes, in this thread, everything or nothing.

    A SummaryWriter on the disk writes from a thread of its own: an error is printed there, found by the next call or a
    later one, and leaves half an event. So events are collected in memory, and each save appends them to the file.

    Args:
        folder: The run folder.
        first_step: The first step to come; TensorBoard takes what a run logged from there on as not done.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        super().__init__(folder.parent, name="", version=folder.name, default_hp_metric=False)
        self.folder = folder
        self.first_step = first_step
        self._memory = fsspec.filesystem("memory")
        self._place = f"/{uuid4().hex}"
        self._writer: SummaryWriter | None = None
        self._file: Path | None = None

    @property
    @rank_zero_experiment
    def experiment(self) -> "SummaryWriter":
        """The writer that collects events in memory."""
        if self._writer is None:
            without_tensorflow()
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(f"memory:/{self._place}", purge_step=self.first_step)
            self._writer.flush()
            self._append()  # now, before anything else that this process shows has a name
        return self._writer

    @rank_zero_only
    def save(self) -> None:
        """Write what was logged since the last time.

        Raises:
            OSError: If there is no space; it names the file, which ends as it did before.
        """
        self.experiment.flush()
        self._append()

    def _append(self) -> None:
        for path in self._memory.find(self._place):
            self._file = self._file or self.folder / name_after_all(self.folder, Path(path).name)
            append(self._file, self._memory.cat_file(path))
            self._memory.pipe_file(path, b"")  # the writer goes on behind

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the rest, and let go of the memory; after a failure, as of a full disk, that is the one to be told."""
        if self._writer is not None:
            with nullcontext() if status == "success" else suppress(OSError):
                self.save()
            self._writer.close()
            self._memory.rm(self._place, recursive=True)
            self._writer = self._file = None
