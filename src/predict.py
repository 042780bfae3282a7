"""Read pictures of digits with a trained network: ``python -m src.cli predict``."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from src.common.drawing import sheet as draw_sheet
from src.common.drawing import to_png
from src.common.errors import UsageError
from src.common.files import open_atomic, refuse_place, write_atomic
from src.common.output import say
from src.digits.frame import read_digit
from src.digits.grey import DigitError
from src.runs.folder import Run
from src.runs.trained import Trained

AT_ONCE = 256  # pictures in memory
ON_SHEET = 1_000
COLUMNS = 10
UNREAD = torch.zeros(28, 28, dtype=torch.uint8)  # stands for a picture that could not be read


@dataclass(frozen=True)
class Reading:
    """What the network makes of a picture.

    Attributes:
        path: The picture's file.
        digit: The name of the most probable class, or nothing.
        probabilities: Of every class, or nothing.
        error: Why it was not read, or nothing.
    """

    path: Path
    digit: str = ""
    probabilities: Sequence[float] = ()
    error: str = ""

    @property
    def confidence(self) -> float:
        """The probability of the answer."""
        return max(self.probabilities, default=0.0)


def predict(ckpt_path: str, images: list[str], output: str | None = None, sheet: str | None = None) -> int:
    """Read pictures of digits.

    Any format that Pillow reads will do, of any size, dark on light or light on dark, in colour or not, centred or
    not; one digit each. A picture that cannot be read gets a row that says why.

    Args:
        ckpt_path: A checkpoint file, a run folder (its best checkpoint), or best or last of the newest run that has
            one.
        images: Files, folders (with the pictures in all folders below) and patterns such as "scans/*.png".
        output: The table to write, a .csv file: path, digit, confidence, the probability of each class, error. Left
            out, it is predictions.csv in the run of the checkpoint.
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
    shown: list[tuple[Reading, Tensor]] = []
    with open_atomic(table) as file:
        text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="", write_through=True)
        rows = csv.writer(text)
        rows.writerow(["path", "digit", "confidence", *(f"p{name}" for name in trained.classes), "error"])
        width = max(len(printable(path)) for path in paths)
        say(f"{'picture':<{width}}  digit  confidence")
        for reading, pixels in read(paths, trained):
            rows.writerow(row(reading, len(trained.classes)))
            say(f"{printable(reading.path):<{width}}  {verdict(reading)}")
            failed += bool(reading.error)
            if sheet and len(shown) < ON_SHEET:
                shown.append((reading, pixels))
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


def read(paths: Sequence[Path], trained: Trained) -> Iterator[tuple[Reading, Tensor]]:
    """Read pictures, a few at a time.

    Yields:
        For every path what the network makes of it, and the pixels that it saw, ``(28, 28)`` uint8.
    """
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(paths), AT_ONCE):
            some = paths[start : start + AT_ONCE]
            pictures = list(threads.map(pixels_of, some))
            pixels = torch.stack([UNREAD if isinstance(each, str) else each for each in pictures])
            _, probabilities = trained.answer(pixels)
            for path, picture, image, row_ in zip(some, pictures, pixels, probabilities, strict=True):
                if isinstance(picture, str):
                    yield Reading(path, error=picture), image
                else:
                    yield Reading(path, trained.classes[int(row_.argmax())], row_.tolist()), image


def pixels_of(path: Path) -> Tensor | str:
    """Return a picture's digit, ``(28, 28)`` uint8, or why there is none."""
    try:
        return read_digit(path)
    except DigitError as error:
        return str(error)


def row(reading: Reading, classes: int) -> list[Any]:
    """Return a reading as a row of the table."""
    if reading.error:
        return [reading.path, "", "", *[""] * classes, reading.error]
    return [
        reading.path,
        reading.digit,
        f"{reading.confidence:.6f}",
        *(f"{probability:.6f}" for probability in reading.probabilities),
        "",
    ]


def verdict(reading: Reading) -> str:
    """Return a reading as people read it."""
    return f"-      {reading.error}" if reading.error else f"{reading.digit:<5}  {reading.confidence:.1%}"


def printable(path: Path) -> str:
    """Return a path that any terminal shows, even where its bytes are no text."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def draw(shown: list[tuple[Reading, Tensor]], trained: Trained, total: int) -> bytes:
    """Draw what the network saw, with its answers; return a PNG file."""
    captions = [
        (
            reading.path.name.encode("ascii", "replace").decode()[:18],
            reading.error[:18] or f"{reading.digit} ({reading.confidence:.0%})",
        )
        for reading, _ in shown
    ]
    title = f"What the network saw ({trained.checkpoint})"
    notes = [f"the first {len(shown):,} of {total:,} pictures"] if total > len(shown) else []
    return to_png(draw_sheet(torch.stack([pixels for _, pixels in shown]), captions, title, notes, COLUMNS))
