"""Imitates Windows, on its path: what Python lacks there, refuses there or does in another way."""

import builtins
import io
import ntpath
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

for module, names in ((os, ("sysconf", "fchmod", "sched_getaffinity")), (signal, ("SIGHUP",))):
    for name in names:
        delattr(module, name)
shutil._use_fd_functions = False  # type: ignore[attr-defined] # it would open folders

real_open, real_os_open, real_join = builtins.open, os.open, os.path.join
real_send_signal, real_popen = subprocess.Popen.send_signal, subprocess.Popen.__init__


def open_text_as_cp950(
    file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, *rest: Any, **kwargs: Any
) -> Any:
    if "b" not in mode and encoding in (None, "locale"):
        encoding = "cp950"
    return real_open(file, mode, buffering, encoding, *rest, **kwargs)


def open_no_folder(path: Any, *rest: Any, **kwargs: Any) -> int:
    if Path(path).is_dir():
        raise PermissionError(13, "Permission denied", os.fspath(path))
    return real_os_open(path, *rest, **kwargs)


def refusing_open_files(call: Any) -> Any:
    """Wrap a call that removes or renames: Windows refuses both for a file that somebody has open."""

    def refuse(*paths: Any, **kwargs: Any) -> Any:
        opened = set()
        for link in Path("/proc/self/fd").iterdir():
            try:
                opened.add(str(link.readlink()))
            except FileNotFoundError:
                continue
        for path in paths:
            if isinstance(path, str | os.PathLike) and os.path.realpath(path) in opened:
                raise PermissionError(13, "The process cannot access the file", os.fspath(path))
        return call(*paths, **kwargs)

    return refuse


def join_with_backslash(first: Any, *rest: Any) -> Any:
    return ntpath.join(first, *rest) if str(first).startswith("memory:") else real_join(first, *rest)


def send_signal(self: Any, number: int) -> None:
    if number == signal.SIGINT:
        raise ValueError(f"Unsupported signal: {number}")
    real_send_signal(self, number)


def start_in_this_console(self: Any, *args: Any, **kwargs: Any) -> None:
    kwargs.pop("start_new_session", None)
    real_popen(self, *args, **kwargs)


builtins.open = io.open = open_text_as_cp950
os.open = open_no_folder
os.path.join = join_with_backslash
for name in ("remove", "unlink", "rename", "replace"):
    setattr(os, name, refusing_open_files(getattr(os, name)))
subprocess.Popen.send_signal = send_signal  # type: ignore[assignment]
subprocess.Popen.__init__ = start_in_this_console
