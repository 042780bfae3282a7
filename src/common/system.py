"""The differences between Linux, macOS and Windows, in one place."""

import errno
import os
import shlex
import subprocess
import time
from collections.abc import Sequence
from math import inf
from pathlib import Path

WINDOWS = os.name == "nt"
ATTEMPTS, PAUSE_SECONDS = 10, 0.1
LOOK_SECONDS = 0.01  # to watch other programs, because a program may run only for a moment


def command_line(words: Sequence[str]) -> str:
    """Return a command as it is typed into this system's shell, quotes included."""
    return subprocess.list2cmdline(words) if WINDOWS else shlex.join(words)


def cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def yield_to_others() -> None:
    """Let waiting threads sleep where other programs keep the cores busy (Linux); call it before torch is imported.

    OpenMP's threads spin while they wait for each other. That is fastest while every thread has a core to itself, and
    makes an epoch many times as long otherwise (``python -m benchmarks.threads``). Results are the same.
    """
    if {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS"} & os.environ.keys():
        return
    end = time.perf_counter() + LOOK_SECONDS
    others = others_running()
    while others and time.perf_counter() < end:  # not asleep: two programs that start together must see each other
        others = min(others, others_running())
    if cores() + others > (os.cpu_count() or 1):
        os.environ["OMP_WAIT_POLICY"] = "passive"


def others_running() -> int:
    """Return how many threads of other programs run or wait for a core; 0 where the system does not tell."""
    try:
        return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0]) - 1  # this thread
    except (OSError, ValueError, IndexError):
        return 0


def memory_bytes() -> float:
    """Return the size of the machine's memory; infinity where the system does not tell, as on Windows."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else inf


def open_files() -> float:
    """Return how many files and connections a process may have open at once; infinity on Windows."""
    if WINDOWS:
        return inf
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return inf if limit == resource.RLIM_INFINITY else limit


def replace(new: Path, path: Path) -> None:
    """Give a complete file its name, atomically: on failure an earlier file of that name stays.

    On Windows a virus scanner or a cloud's folder may have the file open, so this retries for a second.
    """
    for attempt in range(ATTEMPTS):
        try:
            new.replace(path)
            return
        except PermissionError:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(PAUSE_SECONDS)


def flush_folder(path: Path) -> None:
    """Make a new name in a folder survive a power cut, where the system flushes folders."""
    try:
        folder = os.open(path, os.O_RDONLY)
    except PermissionError:  # on Windows, always
        return
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network and FUSE file systems
            raise
    finally:
        os.close(folder)
