"""Print lines, warnings and tables."""

import json
import logging
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from src.common.errors import one_line, printable

# the start of a formula in a spreadsheet, in full-width characters too; a number may have a sign
FORMULA = re.compile(r"[=@\uff1d\uff20\t\r\n]|[+\-\uff0b\uff0d](?![\d.]+$)")


def say(text: str) -> None:
    """Print at once, without breaking a progress bar; to a reader who has gone, as in ``| head``, print nothing."""
    try:
        tqdm.write("\n".join(map(printable, text.split("\n"))), file=sys.stdout)
    except BrokenPipeError:
        _mute()
    flush()


def warn(sentence: str) -> None:
    """Print a warning, but only in the first of several processes: ``main`` raises the level of the others' loggers."""
    if logging.getLogger("src").isEnabledFor(logging.WARNING):
        print(f"warning: {printable(sentence)}", file=sys.stderr)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines, each column as wide as its longest text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def format_value(value: Any) -> str:
    """Return a value as text, with four digits of a float."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return one_line(value) if isinstance(value, str) else json.dumps(value)


def cell(text: str, guard: str) -> str:
    """Return text for a table, with ``guard`` before it where a spreadsheet would take it for a formula."""
    return guard + text if FORMULA.match(text) else text


def flush() -> None:
    """Flush the output; Python would do so at exit, where a reader who has gone is an error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _mute()


def _mute() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
