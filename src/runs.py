"""Run folders: make one, find one, and make sure that only one process trains in it."""

import re
import shutil
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock, Timeout

from src.errors import UsageError

RUNS_FOLDER = "lightning_logs"
FIRST_STEPS = "train one first: python -m src.cli fit --config configs/mlp.yaml"


class Run:
    """One run folder, ``lightning_logs/version_N``.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "checkpoints" / "best.ckpt"
        self.last = path / "checkpoints" / "last.ckpt"
        self.last_prev = path / "checkpoints" / "last.prev.ckpt"
        self._created = False
        self._lock = FileLock(path / ".lock")

    @classmethod
    def create(cls, root: Path) -> "Run":
        """Make the next ``version_N`` under ``root/lightning_logs`` and lock it.

        Processes that start together each get a folder of their own, because only one mkdir of a name succeeds.

        Raises:
            UsageError: If the folder cannot be made.
        """
        runs = root / RUNS_FOLDER
        try:
            runs.mkdir(parents=True, exist_ok=True)
            number = max((_number(path) for path in runs.iterdir()), default=-1) + 1
            while True:
                try:
                    (runs / f"version_{number}").mkdir()
                except FileExistsError:
                    number += 1
                else:
                    break
        except OSError as error:
            raise UsageError(
                f"{runs} cannot be written ({error.strerror}): name another place with --trainer.default_root_dir."
            ) from error
        run = cls(runs / f"version_{number}")
        run._created = True
        run.lock()
        return run

    @classmethod
    def of_checkpoint(cls, checkpoint: Path) -> "Run":
        """Return the run that a checkpoint belongs to: its run folder, or the file's folder outside of one."""
        folder = checkpoint.parent
        return cls(folder.parent if folder.name == "checkpoints" else folder)

    def continues_from(self, checkpoint: Path) -> bool:
        """Say whether training from a checkpoint goes on with this run, instead of branching off from it."""
        return checkpoint in (self.last, self.last_prev)

    def lock(self) -> None:
        """Claim the run for this process; the operating system gives it back when the process ends, however it ends.

        Raises:
            UsageError: If another process trains in it.
        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(f"{self.path} is being trained by another process: wait until it has ended.") from None

    def unlock(self) -> None:
        """Give the run back."""
        self._lock.release()

    def discard(self) -> None:
        """Remove the folder if this process made it and saved no checkpoint: a refused request leaves no trace."""
        if self._created and not self.last.exists():
            shutil.rmtree(self.path)


def _number(path: Path) -> int:
    match = re.fullmatch(r"version_(\d+)", path.name)
    return int(match[1]) if match else -1


def find_checkpoint(request: str, root: Path, prefer: Literal["best", "last"]) -> Path:
    """Find the checkpoint that ``--ckpt_path`` asks for.

    Args:
        request: A checkpoint file, a run folder, ``best`` or ``last`` (of the newest run that has one).
        root: The folder that holds ``lightning_logs``.
        prefer: Which checkpoint a run folder stands for.

    Returns:
        The checkpoint file.

    Raises:
        UsageError: If there is none.
    """
    if request in ("best", "last"):
        runs = [path for path in (root / RUNS_FOLDER).glob("version_*") if _number(path) >= 0]
        for path in sorted(runs, key=_number, reverse=True):
            checkpoint = path / "checkpoints" / f"{request}.ckpt"
            if checkpoint.is_file():
                return checkpoint
        raise UsageError(f"--ckpt_path {request}: no run in {root / RUNS_FOLDER} has a {request}.ckpt; {FIRST_STEPS}")
    path = Path(request)
    if path.is_dir():
        checkpoint = path / "checkpoints" / f"{prefer}.ckpt"
        if not checkpoint.is_file():
            raise UsageError(f"--ckpt_path {request}: the folder has no checkpoints/{prefer}.ckpt; name another run.")
        return checkpoint
    if not path.is_file():
        raise UsageError(
            f"--ckpt_path {request}: no such file or run folder; give a checkpoint, a run folder, best or last."
        )
    return path


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of this project without running any code that it may hold.

    Args:
        path: The checkpoint file.

    Returns:
        The checkpoint on the CPU.

    Raises:
        UsageError: If the file is damaged or does not come from this project.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for the many ways a file can be damaged
        raise UsageError(f"{path} is not a readable checkpoint (damaged or not one at all): name another.") from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "config", "MNISTDataModule"} <= checkpoint.keys():
        raise UsageError(f"{path} is not a checkpoint of this project: name one that src.cli fit wrote.")
    return checkpoint
