"""What a person is shown of a reading: the sheet, how sure it is, the names of other classes."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from src import predict as predict_module
from src.digits.frame import read_digit
from src.digits.number import Digit
from src.digits.reading import SURE, WIDE, Reading
from src.runs.trained import Trained
from tests.letters import letters
from tests.predict.conftest import draw, predict, rows_of

ONE_EPOCH = ["--trainer.max_epochs", "1", "--inspection.enabled", "false"]


def number(path: Path) -> None:
    """A one, twice."""
    page = Image.new("L", (180, 120), 255)
    for place in (0, 90):
        with Image.open("scans/b.png") as picture:
            page.paste(picture, (place, 0))
    page.save(path)


def test_a_sheet_shows_the_boxes_and_what_the_network_saw(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict_module, "ON_SHEET", 5)
    drawn = []
    draw_sheet = predict_module.draw_sheet

    def recording(images: torch.Tensor, captions: Any, *words: Any, **options: Any) -> Any:
        drawn.append((images, captions, words[1]))
        return draw_sheet(images, captions, *words, **options)

    monkeypatch.setattr(predict_module, "draw_sheet", recording)
    (here / "more").mkdir()
    number(here / "scans" / "a_name_that_is_long_and_goes_on_1.png")
    assert predict("--images", "scans/*.png", "scans", "--sheet", "saw.png", "--output", "table.csv") == 0

    ((images, captions, notes),) = drawn
    first, second = (row["digit"] for row in rows_of(here / "table.csv")[:2])
    assert [caption[0] for caption in captions] == ["1: a_name_t..on_1.png"] * 3 + ["2: b.png"] * 2
    assert captions[0][1] == first
    assert [caption[1][0] for caption in captions[1:3]] == list(first)
    assert captions[4][1][0] == second
    orange = (images == torch.tensor((217, 95, 2), dtype=torch.uint8)).all(dim=-1)
    assert orange.flatten(1).any(dim=1).tolist() == [True, False, False, True, False]
    (left, right) = orange[0].any(dim=0).nonzero()[[0, -1], 0].tolist()
    assert (left, right) == pytest.approx((84 * 35 / 180, 84 * (90 + 50) / 180), abs=4)
    assert torch.equal(images[4, ::3, ::3, 0], read_digit(Path("scans/b.png")))
    assert notes == ["the first 2 of 4 pictures"]
    with Image.open("saw.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("confidence", "width", "says"),
    [
        (SURE + 0.01, 10, "7      91.0%"),
        (SURE - 0.01, 10, "7      89.0%, unsure"),
        (SURE + 0.01, 10 * WIDE + 1, "7      91.0%, unsure: wide as digits that touch"),
    ],
)
def test_little_confidence_and_much_width_are_unsure(confidence: float, width: float, says: str) -> None:
    row = torch.zeros(10)
    row[7], row[1] = confidence, 1 - confidence
    digit = Digit(torch.zeros(28, 28, dtype=torch.uint8), (5, 5, 5 + int(width), 15))
    reading = Reading.of([[digit]], iter([row]), tuple("0123456789"))

    assert reading.verdict() == says
    assert reading.unsure == reading.digits[0]["unsure"] == ("unsure" in says)


def test_other_classes_have_their_names(
    tmp_path: Path, own_digits: Path, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("fit", *ONE_EPOCH, *letters(tmp_path)).code == 0
    monkeypatch.chdir(tmp_path)
    picture = draw(tmp_path / "one.png")

    assert predict("--images", str(picture), "--output", "table.csv") == 0

    (row,) = rows_of(tmp_path / "table.csv")
    names = Trained.load("best").classes
    assert list(row) == ["path", "digit", "confidence", "unsure", *(f"p{name}" for name in names), "digits", "error"]
    assert row["digit"] in names
    assert (float(row["confidence"]) < SURE, row["unsure"]) == (True, "")  # the threshold is that of digits
    assert json.loads(row["digits"])[0] == {
        "digit": row["digit"],
        "confidence": float(row["confidence"]),
        "unsure": False,
        "box": None,
    }


def test_names_that_are_no_text_are_read_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = os.fsdecode(b"scans/\xff.png")
    shutil.copy("scans/b.png", odd)

    assert predict("--images", odd, "--output", "table.csv") == 0
    assert "scans/\\udcff.png" in capsys.readouterr().out
    assert b"scans/\xff.png," in (here / "table.csv").read_bytes()
