"""Calls of the system that fail."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


class Fault:
    """Fails in the place of a call, the first so many times that a condition holds excepted; then once or always."""

    def __init__(self, call: Callable[..., Any], number: int, holds: Callable[..., bool], after: int = 0) -> None:
        self.call, self.number, self.holds, self.after = call, number, holds, after
        self.times = 0

    def __call__(self, *words: Any, **options: Any) -> Any:
        if self.holds(*words):
            self.times += 1
            if self.times > self.after:
                raise OSError(self.number, os.strerror(self.number))
        return self.call(*words, **options)


class Broken:
    """A file that cannot be written to."""

    def __init__(self, file: Any, write: Any) -> None:
        self.file, self.write = file, write

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> "Broken":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def always(*_: object) -> bool:
    return True


def is_folder(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def refusing(monkeypatch: pytest.MonkeyPatch, function: str, path: Path, number: int = errno.EACCES) -> None:
    """Let a function of os fail for a path and what lies in it, as it would for a user who is not root."""
    original = getattr(os, function)

    def refuse(name: object, *arguments: object, **keywords: object) -> object:
        if isinstance(name, str | Path) and Path(name).absolute().is_relative_to(path):
            raise OSError(number, os.strerror(number), str(name))
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(os, function, refuse)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user who may do what permissions allow, as root is not."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65_534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
