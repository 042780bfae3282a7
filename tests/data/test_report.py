import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from src.cli.main import main
from src.common import drawing
from src.common.files import sha256
from src.data.checks import TEST_LABELS, TRAIN_LABELS
from src.data.datasets import DATASETS
from src.data.idx import read_idx, write_idx


def test_a_look_at_the_data_counts_describes_and_draws(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.png"
    flags = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
    assert main(["data", *flags, "--output", str(sheet)]) == 0
    out = capsys.readouterr().out
    train, test = read_idx(digits / TRAIN_LABELS), read_idx(digits / TEST_LABELS)

    assert out.startswith("MNIST: 170 train, 60 val, 70 test\n")
    for label in range(10):
        counts = [int((labels == label).sum()) for labels in (train[:-60], train[-60:], test)]
        assert re.search(rf"^{label} +{counts[0]} +{counts[1]} +{counts[2]}$", out, re.MULTILINE)
    assert f"{sha256(digits / TRAIN_LABELS)}  {digits / TRAIN_LABELS}\n    a folder of your own, not checked\n" in out
    assert re.search(r"mean 0\.\d{6}, std 0\.\d{6}", out)
    with Image.open(sheet) as image:
        pixels = np.asarray(image)
    tiles = [pixels[top : top + 56, left : left + 56] for top, left in places()]
    for label in range(10):
        for tile in tiles[10 * label : 10 * label + 10]:  # each class has its bright row elsewhere
            assert tile.mean(axis=(1, 2)).argmax() // 2 == 2 * label + 4


def places() -> list[tuple[int, int]]:
    """Where the ten samples of each of ten classes are on the sheet, the class's name below each."""
    top = drawing.MARGIN + drawing.TITLE + 12
    step = 56 + drawing.TEXT + 3 + 12
    return [(top + row * step, drawing.MARGIN + column * (56 + 8)) for row in range(10) for column in range(10)]


def letters_on_their_side(folder: Path) -> Path:
    """EMNIST's letters as published, on their side: a bright row in the picture is a column in the file."""
    for number, name in enumerate(DATASETS["EMNIST/letters"].files):
        images = torch.zeros(4, 28, 28, dtype=torch.uint8)
        images[:, :, 4] = 255
        write_idx(folder / name, torch.arange(1, 5, dtype=torch.uint8) if number % 2 else images)
    return folder


def test_the_sheet_stands_upright(tmp_path: Path) -> None:
    flags = ["--data.dataset", "EMNIST/letters", "--data.data_dir", str(letters_on_their_side(tmp_path))]
    assert main(["data", *flags, "--output", str(tmp_path / "sheet.png")]) == 0
    top, left = places()[0]
    with Image.open(tmp_path / "sheet.png") as image:
        assert [image.getpixel((left + 2 * x, top + 2 * 4)) for x in (0, 14, 27)] == [(255, 255, 255)] * 3
        assert image.getpixel((left + 2 * 4, top + 2 * 14)) == (0, 0, 0)


def test_a_folder_that_is_too_small_for_the_defaults_can_be_looked_at(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "--data.data_dir", str(digits), "--output", str(tmp_path / "sheet.png")]) == 0
    out = capsys.readouterr().out

    assert out.startswith("MNIST: 230 train, 70 test\nnot split: --data.val_size 12,000 leaves nothing to train on")


def test_a_sheet_that_finds_no_space_leaves_the_old_one(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    sheet = tmp_path / "sheet.png"
    sheet.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    assert main(["data", "--data.data_dir", str(digits), "--output", str(sheet)]) == 1

    says = f"error: {sheet} could not be written: No space left on device; free some space.\n"
    assert capsys.readouterr().err == says
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("sheet.png", b"old")]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--output", "README.md/x.png"], "--output README.md/x.png: there is no folder README.md"),
        (["--output", "x.docx"], "--output x.docx: name a path that ends in .png"),
        (["--data.datasett", "MNIST"], "did you mean --data.dataset?"),
        (["--data.dataset", "MINST"], "'EMNIST/balanced'"),
    ],
)
def test_a_bad_look_gets_one_sentence(
    digits: Path, flags: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
    assert main(["data", *data, *flags]) == 2
    err = capsys.readouterr().err

    assert says in err
    assert err.count("\n") == 1
