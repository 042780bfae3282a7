"""The run that a torchrun or SLURM job has made, which only a restart of the same job resumes."""

import json
import os
import shlex
import socket
import time
from contextlib import suppress
from pathlib import Path

from src.common.files import read_object, read_regular, write_atomic
from src.common.output import warn
from src.runs.folder import Run, runs_of

NOTE = "job.json"


class Job:
    """A command that torchrun or SLURM starts, and restarts when a process or a machine has died.

    The run folder names its job in ``job.json``: for torchrun the agent's process, which outlives the processes that it
    starts (the run id is ``none`` by default, and not unique); for SLURM the job's number, which a requeued job keeps;
    and the command, which distinguishes several trainings of one job.
    """

    def __init__(self, words: list[str]) -> None:
        self.command = shlex.join(words)
        self.torchrun = _parent() if "TORCHELASTIC_RUN_ID" in os.environ else ""
        names = ("SLURM_CLUSTER_NAME", "SLURM_JOB_ID")
        self.slurm = " ".join(os.environ.get(name, "") for name in names) if "SLURM_JOB_ID" in os.environ else ""
        self.was_requeued = int(os.environ.get("SLURM_RESTART_COUNT", 0)) > 0
        self._made_before: Run | None = None

    def open_run(self, root: Path, folder: str) -> Run:
        """Return a locked run to train in: the run that this job has made, or a new run in ``root/folder``."""
        if (run := self._made_before) is None:  # else the job died before its first checkpoint
            return Run.create(root, folder)
        run.lock()
        return run

    def note(self, run: Run) -> None:
        """Write this job's ``job.json`` into a run folder."""
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
            note = read_object(run.path / NOTE)
        except OSError:  # no job made this run, or this machine does not see the note
            return False
        except ValueError:
            warn(f"{run.path / NOTE} is damaged: if this job made that run, resume it with --ckpt_path {run.path}.")
            return False
        by_torchrun = bool(self.torchrun) and note.get("torchrun") == self.torchrun
        by_slurm = self.was_requeued and bool(self.slurm) and note.get("slurm") == self.slurm
        return note.get("command") == self.command and (by_torchrun or by_slurm)


def note_of(run: Path) -> str:
    """Return the text of a run folder's ``job.json``; an empty string if this machine sees no such file."""
    with suppress(OSError, UnicodeDecodeError):
        return read_regular(run / NOTE).decode()
    return ""


def _parent() -> str:
    """Return a name of the parent process, unique over machines and time; an empty string except on Linux."""
    with suppress(OSError):
        status = Path(f"/proc/{os.getppid()}/stat").read_text()
        started = status.rpartition(")")[2].split()[19]  # in ticks; the process name before the bracket may have spaces
        return f"{socket.gethostname()} {os.getppid()} {started}"
    return ""
