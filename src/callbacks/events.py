"""Files that TensorBoard reads, each complete or not there."""

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from uuid import uuid4

from torch import Tensor

from src.files import write_atomic

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

PROJECTOR = "projector"
WEIGHTS = "weights/first_layer"


@contextmanager
def event_file(folder: Path) -> "Iterator[SummaryWriter]":
    """Collect events in memory and write them as one more event file of a run.

    A SummaryWriter on the disk writes from a thread of its own, where a full disk cannot be caught.

    Raises:
        OSError: If the file cannot be written; the folder is then as it was.
    """
    import fsspec

    without_tensorflow()
    from torch.utils.tensorboard import SummaryWriter

    memory, place = fsspec.filesystem("memory"), f"/{uuid4().hex}"
    try:
        writer = SummaryWriter(f"memory:/{place}")
        try:
            yield writer
        finally:
            writer.close()
        for path in memory.find(place):
            write_atomic(folder / name_after_all(folder, Path(path).name), memory.cat_file(path))
    finally:
        if memory.exists(place):
            memory.rm(place, recursive=True)


def without_tensorflow() -> None:
    """Let TensorBoard use its own small part of TensorFlow even where all of that is installed.

    TensorFlow takes seconds to import, and knows nothing of files in memory. A module of this name is how
    ``tensorboard.compat`` is told.
    """
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))


def name_after_all(folder: Path, name: str) -> str:
    """Return a name for a new event file that comes after those in a folder, as TensorBoard reads them by name.

    Args:
        folder: The run.
        name: What SummaryWriter calls it. It begins with the second in which that was given, but two may be given in
            one, and a clock can be set back.
    """
    newest = max((path.name for path in folder.glob("events.out.tfevents.*")), default="")
    return name if name > newest else f"{newest}.1"


def last_step(folder: Path) -> int | None:
    """Return the step of the newest weights that TensorBoard has pictures of in a run, or None."""
    without_tensorflow()
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    steps: set[int] = set()
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(path)).Load():
            if event.session_log.status == event.session_log.START:  # a resume takes back what comes later
                steps = {step for step in steps if step < event.step}
            if any(value.tag == WEIGHTS for value in event.summary.value):
                steps.add(event.step)
    return max(steps, default=None)


def write_projector(
    folder: Path, name: str, title: str, activations: Tensor, table: Sequence[Sequence[str]], images: Tensor
) -> None:
    """Write the files of the Projector for one split; those of other splits stay.

    ``SummaryWriter.add_embedding`` makes a new copy for each step, forgets what another process has added, and writes
    each number with 17 digits.

    Args:
        folder: The run.
        name: The split.
        title: What to call it in TensorBoard.
        activations: ``(N, units)`` float32.
        table: A header and N rows of text, one cell per column.
        images: ``(N, H, W)`` uint8, 0 = background.

    Raises:
        OSError: If a file cannot be written.
    """
    from google.protobuf import text_format
    from PIL import Image
    from tensorboard.plugins.projector import ProjectorConfig
    from torchvision.utils import make_grid

    place = f"{PROJECTOR}/{name}"
    columns = int((len(images) - 1) ** 0.5) + 1  # TensorBoard wants a square
    square = make_grid(255 - images[:, None], nrow=columns, padding=0)[0].numpy()  # on white, which takes a colour
    side = columns * images.shape[-1]
    sprites = Image.new("L", (side, side))
    sprites.paste(Image.fromarray(square))
    png = io.BytesIO()
    sprites.save(png, "PNG")
    write_atomic(folder / place / "images.png", png.getvalue())
    pattern = "\t".join(["%.4g"] * activations.shape[1])
    lines = [pattern % tuple(row) for row in activations.tolist()]
    write_atomic(folder / place / "activations.tsv", "\n".join([*lines, ""]).encode())
    write_atomic(folder / place / "images.tsv", "\n".join(["\t".join(row) for row in table] + [""]).encode())

    path = folder / "projector_config.pbtxt"
    before = text_format.Parse(path.read_text(), ProjectorConfig()) if path.exists() else ProjectorConfig()
    config = ProjectorConfig()
    for embedding in before.embeddings:
        if embedding.tensor_path != f"{place}/activations.tsv":
            config.embeddings.add().CopyFrom(embedding)
    entry = config.embeddings.add()
    entry.tensor_name = title
    entry.tensor_path, entry.metadata_path = f"{place}/activations.tsv", f"{place}/images.tsv"
    entry.sprite.image_path = f"{place}/images.png"
    entry.sprite.single_image_dim.extend(reversed(images.shape[1:]))
    write_atomic(path, text_format.MessageToString(config).encode())
