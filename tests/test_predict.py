"""Pictures of digits, read by a trained network."""

import csv
import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw

from src import predict as predict_module
from src.cli.main import main
from src.digits.frame import read_digit
from src.digits.number import Digit
from src.digits.reading import SURE, WIDE, Reading
from src.runs.trained import Trained
from tests.conftest import Answer
from tests.faults.folders import foreign_checkpoint
from tests.refusals.requests import Request, check, files
from tests.test_export import huge_weights, letters

Rows = list[dict[str, str]]
ONE_EPOCH = ["--trainer.max_epochs", "1", "--inspection.enabled", "false"]


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


def test_the_table_has_what_the_network_says(here: Path, own_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("--images", "scans/b.png", "scans/a.jpg") == 0
    out = capsys.readouterr().out.splitlines()

    rows = rows_of(own_run / "predictions.csv")
    assert [row["path"] for row in rows] == ["scans/b.png", "scans/a.jpg"]
    trained = Trained.load("best")
    for row in rows:
        _, (probabilities,) = trained.network(read_digit(Path(row["path"]))[None])
        assert [float(row[f"p{digit}"]) for digit in range(10)] == pytest.approx(probabilities.tolist(), abs=1e-6)
        assert row["digit"] == str(int(probabilities.argmax()))
        assert float(row["confidence"]) == pytest.approx(float(probabilities.max()), abs=1e-6)
        assert row["unsure"] == ("yes" if float(row["confidence"]) < SURE else "")
        assert row["error"] == ""
    assert out[0] == "best of the newest run that has one: lightning_logs/version_0"
    assert out[2].split()[:3] == ["scans/b.png", rows[0]["digit"], f"{float(rows[0]['confidence']):.1%},"]
    assert out[-1] == "2 pictures: lightning_logs/version_0/predictions.csv"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("scans", ["a.jpg", "b.png", "c.tif"]),
        ("scans/*.png", ["b.png"]),
        ("scans/**/*.tif", ["c.tif"]),
        ("scans/deep scans/b.png", ["c.tif", "b.png"]),
    ],
)
def test_files_folders_and_patterns_name_pictures(here: Path, words: str, names: list[str]) -> None:
    assert predict("--images", *words.split(), "--output", "table.csv") == 0

    assert [Path(row["path"]).name for row in rows_of(here / "table.csv")] == names


def test_an_absolute_pattern_and_a_name_with_a_star_in_it(here: Path) -> None:
    draw(here / "odd[1].png")
    assert predict("--images", str(here / "scans" / "*.png"), "odd[1].png", "--output", "table.csv") == 0

    assert [Path(row["path"]).name for row in rows_of(here / "table.csv")] == ["b.png", "odd[1].png"]


def test_what_cannot_be_read_gets_its_row_and_the_others_are_done(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (50, 50), 255).save("scans/blank.png")
    (here / "scans" / "broken.png").write_bytes(b"\x89PNG and nothing more")

    code = predict("--images", "scans/broken.png", "scans/blank.png", "scans/b.png", "--output", "table.csv")

    broken, blank, fine = rows_of(here / "table.csv")
    assert code == 1
    assert "not a picture" in broken["error"]
    assert blank["error"] == "no ink found"
    assert (broken["digit"], blank["confidence"], blank["p0"]) == ("", "", "")
    assert (fine["error"], len(fine["digit"])) == ("", 1)
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "3 pictures, 2 could not be read: table.csv"
    assert "no ink found" in out
    assert err == ""


def test_many_pictures_are_read_a_few_at_a_time(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict_module, "AT_ONCE", 2)
    for number in range(5):
        draw(here / "many" / f"{number}.png", 3 * number)
    sizes = []
    forward = predict_module.Trained.load("best").network.__class__.forward

    def counting(self: Any, images: torch.Tensor) -> Any:
        sizes.append(len(images))
        return forward(self, images)

    monkeypatch.setattr("src.runs.trained.PixelClassifier.forward", counting)
    assert predict("--images", "many", "--output", "table.csv") == 0

    assert sizes == [2, 2, 1]
    assert [Path(row["path"]).stem for row in rows_of(here / "table.csv")] == list("01234")


def write_odd_files(folder: Path) -> None:
    """What phones and people leave among pictures, and what is none."""
    shutil.copy("scans/b.png", folder / "IMG_0001")  # without its ending
    shutil.copy("scans/b.png", folder / "IMG_0002.PNG")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "gone").symlink_to("nowhere")
    (folder / "photo.heic").write_bytes(b"\0\0\0\x1cftypheic and so on")
    (folder / "README").write_text("not a picture, and not asked for")
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "album.png").mkdir()


def test_what_lies_among_pictures_is_read_or_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.common.pictures.formats", lambda: ["PNG"])
    (here / "phone").mkdir()
    write_odd_files(here / "phone")
    draw(here / "table.csv.png").rename(here / "table.csv")

    assert predict("--images", "phone", "--output", "table.csv") == 1
    errors = {Path(row["path"]).name: row["error"] for row in rows_of(here / "table.csv")}
    missing = "cannot be read (No such file or directory)"
    needs = 'a HEIC picture, which needs pillow-heif: pip install --constraint constraints.txt ".[heic]"'
    assert errors == {"IMG_0001": "", "IMG_0002.PNG": "", "gone": missing, "gone.png": missing, "photo.heic": needs}


def test_heic_is_read_with_its_extra(here: Path) -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    with Image.open("scans/b.png") as picture:
        picture.save("b.heic")
    assert predict("--images", "b.heic", "scans/b.png", "--output", "table.csv") == 0

    heic, png = rows_of(here / "table.csv")
    assert heic["digit"] == png["digit"]
    assert abs(float(heic["confidence"]) - float(png["confidence"])) < 0.05


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


def test_logits_that_are_not_finite_are_a_failure(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    huge_weights(here)
    before = files(here)

    assert predict("--images", "scans", "--sheet", "saw.png") == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "best.ckpt answers with logits that are not finite" in sentence
    assert "name another checkpoint" in sentence
    assert files(here) == before


def test_a_full_disk_leaves_the_table_that_was_there(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "table.csv").write_text("an earlier one")
    before = files(here)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert predict("--images", "scans", "--output", "table.csv") == 1
    assert "table.csv could not be written: No space left on device" in capsys.readouterr().err
    assert files(here) == before


def no_run(folder: Path) -> None:
    shutil.rmtree(folder / "lightning_logs")


def no_picture(folder: Path) -> None:
    (folder / "empty").mkdir()


BEST = "--ckpt_path best --images scans"
REQUESTS = {
    "no checkpoint yet": Request(BEST, ("--ckpt_path best", "train one first: "), no_run),
    "a foreign checkpoint": Request(
        "--ckpt_path my.ckpt --images scans", ("my.ckpt", "of this project"), foreign_checkpoint
    ),
    "no pictures named": Request("--ckpt_path best", ("--images is missing",)),
    "a pattern without a match": Request("--ckpt_path best --images scans/*.gif", ("--images scans/*.gif", "matches")),
    "a missing file": Request("--ckpt_path best --images scans/z.png", ("--images scans/z.png", "no such file")),
    "a folder without pictures": Request("--ckpt_path best --images empty", ("--images empty", "no pict"), no_picture),
    "a table that is none": Request(f"{BEST} --output table.txt", ("--output table.txt", ".csv")),
    "a missing folder": Request(f"{BEST} --output a/table.csv", ("--output a/table.csv", "no folder a;")),
    "a sheet that is none": Request(f"{BEST} --sheet saw.jpg", ("--sheet saw.jpg", ".png")),
    "a folder as the sheet": Request(
        f"{BEST} --sheet x.png", ("--sheet x.png is a folder",), lambda folder: (folder / "x.png").mkdir()
    ),
    "a picture as the sheet": Request(
        f"{BEST} --sheet scans/b.png", ("--sheet scans/b.png is one of the pictures to read",)
    ),
    "a flag of another command": Request(f"{BEST} --port 1", ("--port is not known",)),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request_gets_one_sentence_and_writes_nothing(
    name: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request_ = REQUESTS[name]
    request_.prepare(here)
    before = files(here)

    check(Answer(main(["predict", *request_.words.split()]), *capsys.readouterr()), request_)
    assert files(here) == before
