"""Which run a job made, so that a restart of the job goes on with that one and never with another."""

import json
import os
import shlex
import socket
import time
from contextlib import suppress
from pathlib import Path

from src.common.files import read_regular, write_atomic
from src.common.output import warn
from src.runs.folder import Run, runs_of

NOTE = "job.json"


class Job:
    """What torchrun or SLURM runs, and runs again when a process or a machine has died.

    A run folder notes its job in ``job.json``. torchrun's agent starts the processes and starts them again, so the
    agent's own process is the job (a run id can be used twice, and is ``none`` by default). A job of SLURM keeps its
    number when it is requeued.

    Args:
        words: The words of the command; what else the same job trains has other ones.
    """

    def __init__(self, words: list[str]) -> None:
        self.command = shlex.join(words)
        self.torchrun = _parent() if "TORCHELASTIC_RUN_ID" in os.environ else ""
        names = ("SLURM_CLUSTER_NAME", "SLURM_JOB_ID")
        self.slurm = " ".join(os.environ.get(name, "") for name in names) if "SLURM_JOB_ID" in os.environ else ""
        self.was_requeued = int(os.environ.get("SLURM_RESTART_COUNT", 0)) > 0
        self._made_before: Run | None = None

    def open_run(self, root: Path, folder: str) -> Run:
        """Return a locked run to train in: the one that this job began, or a new one.

        Args:
            root: The folder that holds the folder of runs.
            folder: That one's name.

        Raises:
            UsageError: If another process trains in it, or a new one cannot be made.
        """
        if (run := self._made_before) is None:  # else it died before its first checkpoint
            return Run.create(root, folder)
        run.lock()
        return run

    def note(self, run: Run) -> None:
        """Note in a run folder that this job trains it."""
        if self.torchrun or self.slurm:
            note = {"command": self.command, "torchrun": self.torchrun, "slurm": self.slurm, "since": time.time()}
            write_atomic(run.path / NOTE, json.dumps(note, indent=1).encode())

    def run_made(self, root: Path) -> Run | None:
        """Return the newest run under ``root/lightning_logs`` that an earlier start of this job made, or None."""
        runs = runs_of(root) if self.torchrun or self.slurm else []
        self._made_before = next((run for run in runs if self._made(run)), None)
        return self._made_before

    def _made(self, run: Run) -> bool:
        try:
            note = json.loads(note_of(run.path) or "{}")
        except (ValueError, RecursionError):
            note = None
        if not isinstance(note, dict):
            warn(f"{run.path / NOTE} is damaged: if this job made that run, go on with --ckpt_path {run.path}.")
            return False
        by_torchrun = bool(self.torchrun) and note.get("torchrun") == self.torchrun
        by_slurm = self.was_requeued and bool(self.slurm) and note.get("slurm") == self.slurm
        return note.get("command") == self.command and (by_torchrun or by_slurm)


def note_of(run: Path) -> str:
    """Return the text of a run folder's note; nothing if it has none or cannot be seen from here."""
    with suppress(OSError, UnicodeDecodeError):
        return read_regular(run / NOTE).decode()
    return ""


def _parent() -> str:
    """Name this process' parent as no other process, earlier or elsewhere, is named; nothing except on Linux."""
    with suppress(OSError):
        status = Path(f"/proc/{os.getppid()}/stat").read_text()
        started = status.rpartition(")")[2].split()[19]  # in ticks; the name before the bracket may have spaces
        return f"{socket.gethostname()} {os.getppid()} {started}"
    return ""
