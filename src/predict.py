"""Read pictures of digits with a trained network: ``python -m src.cli predict``."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from glob import glob, has_magic
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from src.common.drawing import sheet as draw_sheet
from src.common.drawing import to_png
from src.common.errors import UsageError
from src.common.files import open_atomic, refuse_place, write_atomic
from src.common.output import say
from src.data.datasets import DIGITS
from src.digits.frame import read_digit
from src.digits.grey import DigitError
from src.digits.number import Digit, read_number
from src.digits.reading import Answer, Reading, printable
from src.runs.folder import Run
from src.runs.trained import Trained

AT_ONCE = 256  # pictures in memory
ON_SHEET = 1_000
COLUMNS = 10
UNREAD = torch.zeros(28, 28, dtype=torch.uint8)  # stands for a picture that could not be read


def predict(ckpt_path: str, images: list[str], output: str | None = None, sheet: str | None = None) -> int:
    """Read pictures of digits and numbers.

    Any format that Pillow reads will do, of any size, dark on light or light on dark, in colour or not, centred or
    not. A picture that cannot be read, or holds more than a number, gets a row that says why.

    Args:
        ckpt_path: A checkpoint file, a run folder (its best checkpoint), or best or last of the newest run that has
            one.
        images: Files, folders (with the pictures in all folders below) and patterns such as "scans/*.png".
        output: The table to write, a .csv file: path, digit, confidence, the probability of each class, each digit with
            its confidence and box, error. Left out, it is predictions.csv in the run of the checkpoint.
        sheet: A .png file to write, with what the network saw and its answers, of the first 1,000 pictures.

    Returns:
        The exit code: 1 if a picture could not be read.

    Raises:
        UsageError: If there is no such checkpoint, no picture, or no place for a file.
        RunError: If the network's logits are not finite; no file is written.
        OSError: If a file cannot be written; it is then not there, or as it was.
    """
    paths = list(dict.fromkeys(path for words in images for path in find_pictures(words)))
    for flag, name, ending in (("output", output, ".csv"), ("sheet", sheet, ".png")):
        if name is not None:
            refuse_place(flag, Path(name), ending)
            if Path(name).exists() and any(path.samefile(name) for path in paths):
                raise UsageError(f"--{flag} {name} is one of the pictures to read: name another file.")
    trained = Trained.load(ckpt_path)
    table = Path(output) if output else Run.of_checkpoint(trained.checkpoint).path / "predictions.csv"
    failed = 0
    shown: list[Reading] = []
    with open_atomic(table) as file:
        text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="", write_through=True)
        rows = csv.writer(text)
        rows.writerow(["path", "digit", "confidence", *(f"p{name}" for name in trained.classes), "digits", "error"])
        width = max(len(printable(path)) for path in paths)
        say(f"{'picture':<{width}}  digit  confidence")
        for reading in read(paths, trained):
            rows.writerow(reading.row(len(trained.classes)))
            say(f"{printable(reading.path):<{width}}  {reading.verdict()}")
            failed += bool(reading.error)
            if sheet and len(shown) < ON_SHEET:
                shown.append(reading)
        text.detach()
    if sheet:
        write_atomic(Path(sheet), draw(shown, trained, len(paths)))
    unread = f", {failed:,} could not be read" if failed else ""
    say(f"{len(paths):,} picture{'s' * (len(paths) > 1)}{unread}: {', '.join(filter(None, [str(table), sheet]))}")
    return 1 if failed else 0


def find_pictures(words: str) -> list[Path]:
    """Return the files that one of the words after ``--images`` stands for, sorted.

    Raises:
        UsageError: If there is none.
    """
    path = Path(words)
    if path.is_dir():
        endings = Image.registered_extensions()
        found = [each for each in path.rglob("*") if each.suffix.lower() in endings and each.is_file()]
        problem = "no pictures in this folder"
    elif has_magic(words) and not path.exists():
        # Path.glob takes no absolute patterns
        found = [Path(each) for each in glob(words, recursive=True) if not Path(each).is_dir()]  # noqa: PTH207
        problem = "this pattern matches no file"
    else:
        found = [path] if path.exists() else []
        problem = "no such file or folder"
    if not found:
        raise UsageError(f"--images {words}: {problem}; give pictures, folders of them or patterns.")
    return sorted(found)


def read(paths: Sequence[Path], trained: Trained) -> Iterator[Reading]:
    """Read pictures, a few at a time; of networks for other classes than the digits a picture has one thing.

    Yields:
        For every path what the network makes of it.
    """
    find = partial(digits_of, is_number=trained.classes == DIGITS)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(paths), AT_ONCE):
            some = paths[start : start + AT_ONCE]
            found = list(threads.map(find, some))
            digits = [digit for lines in found if not isinstance(lines, str) for line in lines for digit in line]
            rows = iter(trained.answer(torch.stack([digit.pixels for digit in digits]))[1] if digits else ())
            for path, lines in zip(some, found, strict=True):
                if isinstance(lines, str):
                    yield Reading(path, [], lines)
                else:
                    yield Reading(path, [[answer(digit, next(rows), trained) for digit in line] for line in lines])


def answer(digit: Digit, probabilities: Tensor, trained: Trained) -> Answer:
    """Return what the network makes of a digit."""
    return Answer(trained.classes[int(probabilities.argmax())], probabilities.tolist(), digit)


def digits_of(picture: Path, is_number: bool) -> list[list[Digit]] | str:
    """Return the digits in a picture, or the one thing in it, or why there is nothing."""
    try:
        return read_number(picture) if is_number else [[Digit(read_digit(picture), (0, 0, 0, 0))]]
    except DigitError as error:
        return str(error)


def draw(shown: list[Reading], trained: Trained, total: int) -> bytes:
    """Draw what the network saw, with its answers; return a PNG file."""
    tiles, captions = [], []
    for reading in shown:
        name = reading.path.name.encode("ascii", "replace").decode()[:18]
        if reading.error:
            tiles.append(UNREAD)
            captions.append((name, reading.error[:18]))
        for answer in reading.answers:
            tiles.append(answer.digit.pixels)
            captions.append((name, f"{answer.name} ({answer.confidence:.0%})"))
    title = f"What the network saw ({trained.checkpoint})"
    notes = [f"the first {len(shown):,} of {total:,} pictures"] if total > len(shown) else []
    return to_png(draw_sheet(torch.stack(tiles), captions, title, notes, COLUMNS))
