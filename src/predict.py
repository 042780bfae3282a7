"""Read pictures of digits with a trained network: ``python -m src.cli predict``."""

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from src.common.drawing import sheet as draw_sheet
from src.common.drawing import to_png
from src.common.errors import UsageError, printable
from src.common.files import open_atomic, refuse_place, write_atomic
from src.common.find import find_pictures
from src.common.output import cell, say
from src.common.pictures import PictureError, read_picture
from src.data.datasets import DATASETS, DIGITS
from src.digits.frame import read_digit
from src.digits.number import Digit, read_number
from src.digits.reading import Reading
from src.digits.tiles import Tile, tiles_of
from src.runs.folder import Run
from src.runs.trained import WEIGHTS, Trained

AT_ONCE = 256  # pictures in memory
SMALL = 10_000  # bytes of a file
ON_SHEET, COLUMNS = 2_000, 10


def predict(
    *,
    images: list[str],
    ckpt_path: str | None = None,
    output: str | None = None,
    sheet: str | None = None,
    network: nn.Module | None = None,
) -> int:
    """Read pictures of digits and numbers.

    Any format that Pillow reads will do, of any size, dark on light or light on dark, in colour or not, centred or
    not. A picture that cannot be read, or holds more than one number, gets a row that says why. Example:
    python -m src.cli predict --images images/digits --sheet saw.png

    Args:
        images: Files, folders (searched with all folders below) and patterns such as "scans/*.png".
        ckpt_path: A checkpoint file, a run folder (its best checkpoint), or best or last of the newest run that has
            one. Left out, it is best, or before the first run the network that comes with the project.
        output: The .csv file to write: path, digit, confidence, unsure (for digits, yes or empty), the probability of
            each class, each digit with its confidence and box, error. Left out, it is predictions.csv in the run of
            the checkpoint, or in this folder for the project's own network.
        sheet: A .png file to write: the first pictures with their digits marked, each digit as the network saw it, and
            the answers, up to 2,000 tiles.
        network: The class of a network of your own, by its import path, with its arguments below it.

    Returns:
        The exit code: 1 if a picture could not be read.

    Raises:
        UsageError: If there is no such checkpoint, no picture, or no place for a file.
        RunError: If the network's logits are not finite; no file is written.
        OSError: If a file cannot be written; it is then missing or unchanged.
    """
    paths = list(dict.fromkeys(path for words in images for path in find_pictures(words)))
    for flag, name, ending in (("output", output, ".csv"), ("sheet", sheet, ".png")):
        if name is not None:
            refuse_place(flag, Path(name), ending)
            if Path(name).exists() and any(path.exists() and path.samefile(name) for path in paths):
                raise UsageError(f"--{flag} {name} is one of the pictures to read: name another file.")
    trained = Trained.load(ckpt_path, network=network)
    folder = Path() if trained.checkpoint == WEIGHTS else Run.of_checkpoint(trained.checkpoint).path
    table = Path(output) if output else folder / "predictions.csv"
    failed = shown = 0
    tiles: list[Tile] = []
    with open_atomic(table) as file:
        text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="", write_through=True)
        rows = csv.writer(text)
        names = [f"p{name}" for name in trained.classes]
        rows.writerow(["path", "digit", "confidence", "unsure", *names, "digits", "error"])
        width = max(len(printable(str(path))) for path in paths)
        say(f"{'picture':<{width}}  {'digit' if trained.classes == DIGITS else 'class'}  confidence")
        for path, reading in zip(paths, read(paths, trained), strict=True):
            rows.writerow(row(path, reading, len(names)))
            say(f"{printable(str(path)):<{width}}  {reading.verdict()}")
            failed += bool(reading.error)
            if sheet and len(tiles) < ON_SHEET:
                shown += 1
                tiles += tiles_of(path, reading, shown)
        text.detach()
    if sheet:
        title = f"What the network saw ({trained.checkpoint})"
        notes = [f"the first {shown:,} of {len(paths):,} pictures"] if len(paths) > shown else []
        pixels, captions = zip(*tiles, strict=True)
        write_atomic(Path(sheet), to_png(draw_sheet(torch.stack(pixels), captions, title, notes, COLUMNS, scale=1)))
    unread = f", {failed:,} could not be read" if failed else ""
    say(f"{len(paths):,} picture{'s' * (len(paths) > 1)}{unread}: {', '.join(filter(None, [str(table), sheet]))}")
    return 1 if failed else 0


def read(paths: Sequence[Path], trained: Trained) -> Iterator[Reading]:
    """Yield the reading of each picture, in the order of the paths; only a few are in memory at a time."""
    find_digits = partial(digits_of, trained=trained)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(paths), AT_ONCE):
            chunk = paths[start : start + AT_ONCE]
            # threads that read small files spend more time waiting for the interpreter than they save
            read_all = threads.map if any(size(path) > SMALL for path in chunk) else map
            readings = list(read_all(find_digits, chunk))
            digits = [digit for lines in readings if not isinstance(lines, str) for line in lines for digit in line]
            rows = iter(trained.answer(torch.stack([digit.pixels for digit in digits]))[1] if digits else ())
            for lines in readings:
                yield Reading([], lines) if isinstance(lines, str) else Reading.of(lines, rows, trained.classes)


def size(path: Path) -> int:
    """Return the size of a file in bytes; 0 if it is missing, which ``read`` will report."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def digits_of(picture: Path, trained: Trained) -> list[list[Digit]] | str:
    """Return the digits in a picture (for other classes the whole picture as one), or why it cannot be read."""
    try:
        if trained.dataset not in DATASETS or len(trained.image_shape) > 2:  # as its training pictures were
            return [[Digit(torch.from_numpy(read_picture(picture, trained.image_shape).copy()))]]
        return read_number(picture) if trained.classes == DIGITS else [[Digit(read_digit(picture))]]
    except PictureError as error:
        return str(error)


def row(path: Path, reading: Reading, classes: int) -> list[Any]:
    """Return a row of the table; a number of several digits has no class probabilities."""
    name = cell(str(path), f".{os.sep}")
    if reading.error:
        return [name, *[""] * (classes + 4), reading.error]
    answers, confidence = reading.answers, f"{reading.least_sure.confidence:.6f}"
    probabilities = [f"{value:.6f}" for value in answers[0].probabilities] if len(answers) == 1 else [""] * classes
    unsure = "yes" if reading.unsure else ""
    return [name, cell(reading.text, "'"), confidence, unsure, *probabilities, json.dumps(reading.digits), ""]
