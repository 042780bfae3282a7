"""A working folder with a run and pictures, and what ``predict`` writes about them."""

import csv
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from src.cli.main import main

Rows = list[dict[str, str]]


def draw(path: Path, offset: int = 0) -> Path:
    """A one in black on white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("L", (90, 120), 255)
    ImageDraw.Draw(picture).line([(40 + offset, 20), (44, 100)], 0, 9)
    picture.save(path)
    return path


def rows_of(path: Path) -> Rows:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def here(tmp_path: Path, own_run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a run and three pictures."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("b.png", "a.jpg", "deep/er/c.tif")):
        draw(tmp_path / "scans" / name, 6 * number)
    (tmp_path / "scans" / "notes.txt").write_text("not a picture, and not asked for")
    return tmp_path


def predict(*words: str) -> int:
    return main(["predict", "--ckpt_path", "best", *words])
