"""Which pictures are read, and what the table says of each."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from src import predict as predict_module
from src.digits.frame import read_digit
from src.digits.reading import SURE
from src.runs.trained import Trained
from tests.predict.conftest import draw, predict, rows_of


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
