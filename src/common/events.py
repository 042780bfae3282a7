"""Event files for TensorBoard, written whole or not at all."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from uuid import uuid4

from src.common.files import write_atomic

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Events:
    """Events for TensorBoard, which the attribute ``writer`` takes and keeps in memory until they are written.

    A SummaryWriter on the disk writes from a thread of its own: an error such as a full disk is printed there, found by
    the next call or a later one, and leaves half an event. TensorBoard takes what the run logged earlier from
    ``purge_step`` on as not done.
    """

    def __init__(self, purge_step: int | None = None) -> None:
        import fsspec

        without_tensorflow()
        from torch.utils.tensorboard import SummaryWriter

        self._memory, self._place = fsspec.filesystem("memory"), f"/{uuid4().hex}"
        # ends in a slash, or Windows would put a backslash before the file's name
        self.writer = SummaryWriter(f"memory:/{self._place}/", purge_step=purge_step)

    def write(self, write: Callable[[str, bytes], None]) -> None:
        """Pass the name of the writer's file and the new events to ``write``; if that fails, they are kept."""
        self.writer.flush()
        (path,) = self._memory.find(self._place)
        write(path.rpartition("/")[2], self._memory.cat_file(path))
        self._memory.pipe_file(path, b"")  # the writer goes on behind

    def close(self) -> None:
        """Let go of the memory, and of what was not written."""
        self.writer.close()
        self._memory.rm(self._place, recursive=True)


@contextmanager
def event_file(folder: Path, ending: str = "") -> "Iterator[SummaryWriter]":
    """Collect events and write them as one more event file of a run, whose name gets an ending."""
    events = Events()
    try:
        yield events.writer
        events.write(lambda name, content: write_atomic(folder / (name_after_all(folder, name) + ending), content))
    finally:
        events.close()


def without_tensorflow() -> None:
    """Let TensorBoard use its own small part of TensorFlow even where all of that is installed.

    TensorFlow takes seconds to import, and knows nothing of files in memory. A module of this name is how
    ``tensorboard.compat`` is told.
    """
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))


def name_after_all(folder: Path, name: str) -> str:
    """Return a name for a new event file that comes after all others in a folder, as TensorBoard reads them by name.

    SummaryWriter's begins with the second, but two may be given in one second, and a clock can be set back.
    """
    newest = max((path.name for path in folder.glob("events.out.tfevents.*")), default="")
    return name if name > newest else f"{newest}.1"
