"""What differs between Linux, macOS and Windows."""

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


def command_line(words: Sequence[str]) -> str:
    """Return a command as it is typed into this system's shell, quotes included."""
    return subprocess.list2cmdline(words) if WINDOWS else shlex.join(words)


def cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> float:
    """Return the size of the machine's memory; infinity where only an allocation tells, as on Windows."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else inf


def open_files() -> float:
    """Return how many files and connections a process may have open at once; infinity on Windows."""
    if WINDOWS:
        return inf
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return inf if limit == resource.RLIM_INFINITY else limit


def replace(new: Path, path: Path) -> None:
    """Give a complete file its name; what had the name before keeps it until that moment, or for good by an OSError.

    On Windows a virus scanner or a cloud's folder may have that file open, so this tries again for a second.
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
    """Make sure that a new name in a folder survives a power cut, where a folder can be opened for that."""
    try:
        folder = os.open(path, os.O_RDONLY)
    except PermissionError:  # on Windows, always
        return
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # which some network and FUSE file systems say: no folders
            raise
    finally:
        os.close(folder)
