"""What the program prints."""

import logging
import os
import sys
from collections.abc import Sequence

from tqdm import tqdm

from src.common.errors import printable


def say(text: str) -> None:
    """Print at once, without breaking a bar; to a reader who has gone, as in ``| head``, print nothing."""
    try:
        tqdm.write("\n".join(map(printable, text.split("\n"))), file=sys.stdout)
    except BrokenPipeError:
        _mute()
    flush()


def warn(sentence: str) -> None:
    """Print a warning, of several processes in the first only: ``main`` raises the level of the others' loggers."""
    if logging.getLogger("src").isEnabledFor(logging.WARNING):
        print(f"warning: {printable(sentence)}", file=sys.stderr)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines whose columns are as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def flush() -> None:
    """Send what was printed, as Python does at its end, where a reader who has gone is an error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _mute()


def _mute() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
