"""Run folders: make, find and lock them, so that only one process trains in a run."""

import re
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from yaml import YAMLError

from src.common.errors import FULL, UsageError
from src.common.files import naming, read_regular
from src.common.system import command_line
from src.common.yaml_text import load_yaml

RUNS_FOLDER = "lightning_logs"
FIRST_STEPS = "train one first: python -m src.cli fit --config configs/mlp.yaml"


class Run:
    """One run folder, ``lightning_logs/version_N``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "checkpoints" / "best.ckpt"
        self.last = path / "checkpoints" / "last.ckpt"
        self.last_prev = path / "checkpoints" / "last.prev.ckpt"
        self._created = False
        self._lock = FileLock(path / ".lock")

    @classmethod
    def create(cls, root: Path, folder: str = RUNS_FOLDER) -> "Run":
        """Make the next ``version_N`` under ``root/folder`` and lock it.

        Processes that start together each get a folder of their own, because only one mkdir of a name succeeds.
        """
        runs = root / folder
        try:
            runs.mkdir(parents=True, exist_ok=True)
            number = max((_number(path) for path in runs.iterdir()), default=-1) + 1
            while True:
                try:
                    # with parents: a request refused at the same moment may have removed the empty parent
                    (runs / f"version_{number}").mkdir(parents=True)
                    break
                except FileExistsError:
                    number += 1
        except OSError as error:
            if error.errno in FULL:
                raise
            reason = "a file or a broken link is there" if isinstance(error, FileExistsError) else error.strerror
            raise UsageError(
                f"{runs} cannot be written ({reason}): name another place with --trainer.default_root_dir."
            ) from error
        run = cls(runs / f"version_{number}")
        run._created = True
        run.lock()
        return run

    @classmethod
    def of_checkpoint(cls, checkpoint: Path) -> "Run":
        """Return the run that a checkpoint belongs to; outside of a run folder, the file's folder."""
        folder = checkpoint.parent
        return cls(folder.parent if folder.name == "checkpoints" else folder)

    @property
    def classes(self) -> dict[str, list[str]]:
        """The class names in ``trainer.callbacks`` and ``trainer.logger`` of the run's config.

        A checkpoint does not hold them, because they name code. Nothing is imported here.
        """
        try:
            config = load_yaml(read_regular(self.path / "config.yaml").decode())["trainer"]
            named = {name: class_names(config.get(name)) for name in ("callbacks", "logger")}
        except (OSError, ValueError, YAMLError, LookupError, TypeError, AttributeError):  # no config, or a foreign one
            return {}
        return {name: classes for name, classes in named.items() if classes}

    @property
    def way_on(self) -> str:
        """The command that resumes the run."""
        config = ["--config", str(self.path / "config.yaml")] if self.classes else []
        return command_line(["python", "-m", "src.cli", "fit", *config, "--ckpt_path", str(self.path)])

    def continues_from(self, checkpoint: Path) -> bool:
        """Say whether training from a checkpoint resumes this run, instead of starting a new run."""
        return checkpoint in (self.last, self.last_prev)

    def lock(self) -> None:
        """Lock the run for this process; the operating system releases the lock however the process ends."""
        try:
            with naming(self.path / ".lock"):
                self._lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(f"{self.path} is being trained by another process: wait until it has ended.") from None
        for left in self.last.parent.glob(".*.tmp"):  # by a process killed while writing
            left.unlink()

    def unlock(self) -> None:
        """Release the lock."""
        self._lock.release()

    def discard(self) -> None:
        """Remove the folder if this process made it and saved no checkpoint: a refused request leaves no trace."""
        if self._created and not self.last.exists():
            self.unlock()  # Windows cannot remove an open file or its folder
            shutil.rmtree(self.path, ignore_errors=True)
            with suppress(OSError):  # the parent holds other runs
                self.path.parent.rmdir()


def class_names(setting: Any) -> list[str]:
    """Return the class names in a setting or a list of settings, except the TensorBoard logger that every run has."""
    classes = [value for value in (setting if isinstance(setting, list) else [setting]) if isinstance(value, dict)]
    names = [(str(value.get("class_path")).rpartition(".")[2], value.get("init_args") or {}) for value in classes]
    return [name for name, args in names if (name, args.get("save_dir")) != ("TensorBoardLogger", RUNS_FOLDER)]


def _number(path: Path) -> int:
    match = re.fullmatch(r"version_(\d+)", path.name)
    return int(match[1]) if match else -1


def runs_of(root: Path) -> list[Run]:
    """Return the runs under ``root/lightning_logs``, the newest first."""
    try:
        paths = [path for path in (root / RUNS_FOLDER).iterdir() if _number(path) >= 0]
    except FileNotFoundError:
        paths = []
    return [Run(path) for path in sorted(paths, key=_number, reverse=True)]


def find_checkpoint(request: str, root: Path, prefer: Literal["best", "last"]) -> Path:
    """Find the checkpoint of ``--ckpt_path``; raise UsageError if there is none.

    Args:
        request: A checkpoint file, a run folder, ``best`` or ``last`` (of the newest run that has one).
        root: The folder that holds ``lightning_logs``.
        prefer: Which checkpoint a run folder stands for.
    """
    path = Path(request)
    if request in ("best", "last"):
        name, runs, missing = request, runs_of(root), f"no run in {root / RUNS_FOLDER} has a {request}.ckpt"
    elif path.is_dir():
        name, runs, missing = prefer, [Run(path)], f"the folder has no checkpoints/{prefer}.ckpt"
    elif _is_file(path):
        return path
    else:
        folders = [run.path for run in runs_of(root) if _is_file(run.last)] if _number(path) >= 0 else []
        way_out = f"the newest run is {folders[0]}." if folders else "give a checkpoint, a run folder, best or last."
        if root / RUNS_FOLDER / path in folders:
            way_out = f"did you mean {root / RUNS_FOLDER / path}?"
        raise UsageError(f"`ckpt_path` {request}: no such file or run folder; {way_out}")
    for run in runs:
        if _is_file(checkpoint := run.path / "checkpoints" / f"{name}.ckpt"):
            return checkpoint
    last = next((run.last for run in runs if _is_file(run.last)), None)
    nothing = FIRST_STEPS if request in ("best", "last") else "name another run."
    way_out = f"without validation there is none: use {last}." if last else nothing
    raise UsageError(f"`ckpt_path` {request}: {missing}; {way_out}")


def _is_file(path: Path) -> bool:
    """Say whether a file exists; Path.is_file in newer Pythons hides a PermissionError, which this raises."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
