"""Read a checkpoint: nothing in it runs, and what does not fit is said before anything starts."""

import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only

from src.checkpoint.content import problems
from src.common.errors import UsageError
from src.runs.folder import find_checkpoint


class DamagedCheckpointError(UsageError):
    """A file that is not as it was written, or never was a checkpoint.

    Args:
        what: What is wrong with which file.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: name another.")
        self.what = what


@dataclass(frozen=True)
class Origin:
    """The checkpoint that ``--ckpt_path`` asks for; how far its training was, only one that was read to go on can say.

    Attributes:
        path: The file.
        content: What it holds, on the CPU.
        is_one_before: Whether it is a ``last.prev.ckpt`` in the place of a ``last.ckpt`` that is damaged.
    """

    path: Path
    content: dict[str, Any]
    is_one_before: bool = False

    @property
    def recipe(self) -> dict[str, Any]:
        """The request that made it, as plain values."""
        recipe: dict[str, Any] = self.content["config"]
        return recipe

    @property
    def epochs(self) -> int:
        """How many epochs were finished."""
        return len(self.content["callbacks"]["History"]["epochs"])

    @property
    def is_within_epoch(self) -> bool:
        """Whether it was saved before the end of an epoch."""
        return bool(self.epochs == self.content["epoch"])

    @property
    def batches_done(self) -> int:
        """How many batches of an epoch that was begun are done."""
        done: int = self.content["loops"]["fit_loop"]["state_dict"]["combined_loader"][0]["batches_done"]
        return done

    @property
    def teacher(self) -> tuple[str | None, str]:
        """The file and the SHA-256 of the teacher; None and nothing without one."""
        return self.recipe["distillation"]["teacher"], self.content["teacher_sha256"]


def read_request(request: str, root: Path, training: bool) -> Origin:
    """Find and read the checkpoint that ``--ckpt_path`` asks for.

    When ``last``, or a run's folder, stands for a ``last.ckpt`` that is damaged, ``last.prev.ckpt`` takes its place
    and a line on stderr says so.

    Args:
        request: A checkpoint file, a run folder, ``best`` or ``last`` (of the newest run that has one).
        root: The folder that holds ``lightning_logs``.
        training: Whether training goes on from it: a run folder then stands for its last checkpoint instead of its
            best one, and the checkpoint must hold the state of the training too.

    Raises:
        UsageError: If there is none, or it is damaged, or it does not come from this project.
    """
    path = find_checkpoint(request, root, "last" if training else "best")
    previous = path.with_name("last.prev.ckpt")
    try:
        return Origin(path, read_checkpoint(path, training))
    except DamagedCheckpointError as error:
        if path.name != "last.ckpt" or path == Path(request) or not previous.is_file():
            raise
        content = read_checkpoint(previous, training)
        rank_zero_only(print)(f"warning: {error.what}; going on from {previous}, the one before.", file=sys.stderr)
        return Origin(previous, content, is_one_before=True)


def read_checkpoint(path: Path, training: bool) -> dict[str, Any]:
    """Read a checkpoint of this project without running any code that it may hold.

    Args:
        path: The checkpoint file.
        training: Whether it must hold the state of the training, not just the network.

    Returns:
        The checkpoint on the CPU.

    Raises:
        UsageError: If the file is damaged or does not come from this project, or its tensors are not those of the
            network that it describes.
        OSError: If the file cannot be read.
    """
    checkpoint = _load(path)
    problem = next(problems(checkpoint, training), None)
    if problem:
        raise UsageError(
            f"{path} is not a checkpoint of this project: {problem}; name one that fit wrote with this code."
        )
    content: dict[str, Any] = checkpoint
    return content


def _load(path: Path) -> Any:
    with path.open("rb") as file:
        try:
            archive = zipfile.ZipFile(file)
            # torch does not compress: what unpacks to more than the file may be more than the memory
            if sum(part.file_size for part in archive.infolist()) > path.stat().st_size:
                raise ValueError("compressed")
            damaged = archive.testzip()  # torch.load does not look at the checksums
            file.seek(0)
            if damaged is None:
                return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # torch and zipfile raise many types for the many ways a file can be damaged
            raise DamagedCheckpointError(f"{path} is not a readable checkpoint (damaged or not one at all)") from error
    raise DamagedCheckpointError(f"{path} is damaged (the checksum of its part {damaged} is wrong)")
