"""Write files completely or not at all, and read files that a user or a run names."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from src.common.errors import RunError, UsageError
from src.common.output import warn
from src.common.system import WINDOWS, flush_folder, replace

# Windows says EINVAL on a memory stick
NO_LINKS = (errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EXDEV)
NO_FILE = (errno.EISDIR, errno.ENXIO)  # open_regular's errors for a path that is not a regular file


def refuse_place(flag: str, path: Path, *endings: str) -> None:
    """Refuse a file to write that is a folder, lies in no folder or has another ending, before any work is done."""
    if path.is_dir():
        name = path / f"digits{endings[0]}"
        raise UsageError(f"--{flag} {path} is a folder: name a file in it, such as {name}.")
    if path.suffix.lower() not in endings:
        raise UsageError(f"--{flag} {path}: name a path that ends in {' or '.join(endings)}.")
    if not path.parent.is_dir():
        raise UsageError(f"--{flag} {path}: there is no folder {path.parent}; make it or name another one.")


def is_folder(path: Path) -> bool:
    """Say whether a path is a folder; False where the system does not tell, and ``Path.is_dir`` fails."""
    return os.path.isdir(path)  # noqa: PTH112


def open_regular(path: Path) -> BufferedReader:
    """Open a file that a user or a run names, for reading.

    Raises:
        OSError: If it cannot be opened, or is a pipe, a socket or a device, which may block for ever.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except PermissionError:
        if not WINDOWS or not is_folder(path):  # Windows opens no folders
            raise
    else:
        if stat.S_ISREG(mode := os.fstat(descriptor).st_mode):
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
        if not stat.S_ISDIR(mode):
            raise OSError(errno.ENXIO, "a pipe or a device, not a file", str(path))
    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


def read_regular(path: Path) -> bytes:
    """Return the content of a file that a user or a run names; OSError as in ``open_regular``."""
    with open_regular(path) as file:
        return file.read()


def read_object(path: Path, **kinds: type) -> dict[str, Any]:
    """Return the object in a JSON file, which must have values of the types ``kinds``.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If it holds no such object.
    """
    try:
        content = json.loads(read_regular(path))
    except RecursionError as error:
        raise ValueError("it has values too deep in others") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(name), kinds[name]) for name in kinds):
        raise ValueError("it lacks values, or has values of other types")
    return content


def read_note(path: Path, **kinds: type) -> dict[str, Any]:
    """Return a note of a run folder, empty if there is none; a damaged note is kept under another name, with a warning.

    RunError if the note may be sound but cannot be read now, such as without permission or on a failing disk.
    """
    try:
        return read_object(path, **kinds) if path.exists() else {}
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno not in NO_FILE:
            raise RunError(f"{path} cannot be read ({error.strerror}): make it readable, then go on.") from error
        replace(path, path.with_name(f"{path.name}.damaged"))
        warn(f"{path} is damaged: kept as {path.name}.damaged, and made anew.")
        return {}


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the system's refusal to read a file into a UsageError with the file's name."""
    try:
        yield
    except OSError as error:
        name = error.filename or path
        raise UsageError(f"{name} cannot be read ({error.strerror}): make it readable or name another file.") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal; UsageError if it cannot be read."""
    with reading(path), open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file as ``open_atomic`` does."""
    with open_atomic(path) as file:
        file.write(content)


@contextlib.contextmanager
def open_atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing so that a reader, a kill or a power cut never sees half of it.

    The content goes to a temporary file in the same folder, which is made if it is missing; the file is flushed to the
    disk and renamed, and the folder flushed too, so that the new name survives a power cut.

    Raises:
        OSError: If the folder is not writable or the disk is full; it names ``path``, which is then unchanged.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = temporary.open("xb")
        except FileNotFoundError as error:  # as in /proc
            raise OSError(errno.EROFS, "no file can be made there") from error
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        flush_folder(path.parent)


def link_atomic(path: Path, name: Path) -> None:
    """Give a file, which must never be written to in place, a second name; another file of that name is replaced.

    Where the file system has no hard links, as on memory sticks and in some clouds, a copy gets the name.
    """
    with naming(name):
        if name.exists() and name.samefile(path):
            return
        temporary = name.with_name(f".{name.name}.link.tmp")
        temporary.unlink(missing_ok=True)
        try:
            os.link(path, temporary)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            write_atomic(name, path.read_bytes())
            return
        replace(temporary, name)
        flush_folder(name.parent)


def append(path: Path, content: bytes) -> None:
    """Append everything or nothing to a file, which is made if it is missing.

    Raises:
        OSError: If the file is not writable or the disk is full; the file is then unchanged.
        RunError: If the folder was removed.
    """
    if not path.parent.is_dir():
        raise RunError(f"{path.parent} is gone: it was removed or renamed while it was written to.")
    with naming(path), path.open("ab", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        left = memoryview(content)
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            file.truncate(end)
            raise


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an OSError name ``path``: errors from writing and locking name a temporary file, or none."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise
