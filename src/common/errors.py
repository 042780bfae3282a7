"""The errors that end the program with one sentence instead of a traceback."""

import errno
from math import inf
from numbers import Real
from typing import Any


class UsageError(ValueError):
    """A request that cannot be met; its text names the flag or file and the way out (exit code 2)."""

    exit_code = 2


class RunError(RuntimeError):
    """Something outside the program failed while it ran, such as a full disk (exit code 1)."""

    exit_code = 1


LONGEST = 1_000  # characters of a message
FAILED = (errno.EIO, errno.ESTALE)  # of a disk or the network to a disk
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def in_range(value: Any, least: float, below: float = inf) -> bool:
    """Say whether an argument is a number, not text, in a range."""
    return isinstance(value, Real) and least <= float(value) < below


def one_line(text: str) -> str:
    """Return a message, which may quote a file, as ``printable`` does, without its middle if it is long."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return printable(text)


def cause_of(error: BaseException) -> str:
    """Return the text of a library's exception as one line."""
    return one_line(" ".join(str(error).split()))


def printable(text: str) -> str:
    """Return text, such as a file's name, in which nothing can move a cursor, turn letters around or end a line."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
