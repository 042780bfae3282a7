import re
from pathlib import Path

import pytest
from PIL import Image

from src.cli import main
from src.data.checks import TEST_LABELS, TRAIN_LABELS, sha256
from src.data.idx import read_idx


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
    assert f"{sha256(digits / TRAIN_LABELS)}  {digits / TRAIN_LABELS}" in out
    assert re.search(r"mean 0\.\d{6}, std 0\.\d{6}", out)
    with Image.open(sheet) as image:
        assert image.size == (10 * 30 + 2, 10 * 30 + 2)
        first = int((train[:-60] == 0).nonzero()[0])
        assert image.getpixel((2 + 14, 2 + 4))[0] > 90  # class 0 has its bright row at 4
        assert first >= 0


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--output", "nowhere/x.png"], "--output nowhere/x.png"),
        (["--output", "x.docx"], "--output x.docx"),
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
