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
    """Events for TensorBoard: ``writer`` takes them and keeps them in memory until they are written.

    A SummaryWriter on the disk writes in another thread: an error such as a full disk is printed there, raised by a
    later call, and leaves half an event. TensorBoard ignores earlier events from ``purge_step`` on.
    """

    def __init__(self, purge_step: int | None = None) -> None:
        import fsspec

        without_tensorflow()
        from torch.utils.tensorboard import SummaryWriter

        self._memory, self._place = fsspec.filesystem("memory"), f"/{uuid4().hex}"
        # without the final slash, Windows would put a backslash before the file's name
        self.writer = SummaryWriter(f"memory:/{self._place}/", purge_step=purge_step)

    def write(self, write: Callable[[str, bytes], None]) -> None:
        """Pass the name of the writer's file and the new events to ``write``; if it fails, the events are kept."""
        self.writer.flush()
        (path,) = self._memory.find(self._place)
        write(path.rpartition("/")[2], self._memory.cat_file(path))
        self._memory.pipe_file(path, b"")  # the writer will append to it

    def close(self) -> None:
        """Free the memory; events that were not written are lost."""
        self.writer.close()
        self._memory.rm(self._place, recursive=True)


@contextmanager
def event_file(folder: Path, ending: str = "") -> "Iterator[SummaryWriter]":
    """Collect events and write them as another event file of a run, with an ending after the file's name."""
    events = Events()
    try:
        yield events.writer
        events.write(lambda name, content: write_atomic(folder / (name_after_all(folder, name) + ending), content))
    finally:
        events.close()


def without_tensorflow() -> None:
    """Let TensorBoard use its built-in small part of TensorFlow, even where TensorFlow is installed.

    TensorFlow takes seconds to import, and cannot write files in memory. ``tensorboard.compat`` looks for this module.
    """
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))


def name_after_all(folder: Path, name: str) -> str:
    """Return a name for a new event file that sorts after all others in a folder: TensorBoard reads files by name.

    SummaryWriter's names begin with the time in seconds, but a second may have two files, and a clock can be set back.
    """
    newest = max((path.name for path in folder.glob("events.out.tfevents.*")), default="")
    return name if name > newest else f"{newest}.1"
