"""The network that comes with the project: what it is, and when it is used."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from src.cli.main import main
from src.data.checks import TEST_IMAGES, TEST_LABELS
from src.data.idx import read_idx
from src.export.html import to_html
from src.runs.trained import WEIGHTS, Trained
from tests.conftest import REPOSITORY
from tests.predict.conftest import rows_of

PICTURES = REPOSITORY / "images" / "digits"
DIGITS = {"chalk.png": "3", "corner.png": "8", "marker.gif": "6", "photo.jpg": "2", "small.png": "5"}
CARD = WEIGHTS.with_name("README.md")


def test_before_the_first_run_it_reads_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["predict", "--images", str(PICTURES)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"the network that comes with the project: {WEIGHTS}"
    assert {Path(row["path"]).name: row["digit"] for row in rows_of(tmp_path / "predictions.csv")} == DIGITS


def test_then_the_newest_run_does(
    own_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(own_run.parents[1])

    assert main(["export", "--output", "model.pt2"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "best of the newest run that has one: lightning_logs/version_0"


def test_no_training_goes_on_from_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--ckpt_path", str(WEIGHTS), "--trainer.default_root_dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"error: {WEIGHTS} holds a network and not a run's training: name a run's checkpoint.\n"
    )
    assert not list(tmp_path.iterdir())


def test_it_reads_as_many_test_images_as_its_card_says(mnist: Path) -> None:
    raw = mnist / "MNIST" / "raw"
    logits, _ = Trained.load(None, CARD.parent).answer(read_idx(raw / TEST_IMAGES))
    right = int((logits.argmax(dim=1) == read_idx(raw / TEST_LABELS)).sum())

    assert f"({right:,} of 10,000)" in CARD.read_text()
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() in CARD.read_text()


def test_the_page_in_docs_is_made_of_it_and_of_the_page_as_it_is() -> None:
    page = (REPOSITORY / "docs" / "digit.html").read_bytes()
    (about,) = re.findall(r'id="about">(.*)</script>', page.decode())
    metadata = json.loads(about)

    assert len(page) < 600_000
    assert metadata.pop("layers") == [[784, 256], [256, 10]]
    made = to_html(Trained.load(str(WEIGHTS)).network, (28, 28), metadata)
    assert hashlib.sha256(made).hexdigest() == hashlib.sha256(page).hexdigest()  # not half a megabyte in a report


@pytest.mark.parametrize("command", ["predict", "export", "data"])
def test_the_example_of_its_help_runs(
    command: str, tmp_path: Path, mnist: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, place in (("images", REPOSITORY / "images"), ("data", mnist)):
        (tmp_path / name).symlink_to(place)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = " ".join(capsys.readouterr().out.partition("options:")[0].split())
    (words,) = re.findall(rf"Example: python -m src.cli ({command} .*\.(?:png|onnx))", text)

    assert main(words.split()) == 0
    assert (tmp_path / words.split()[-1]).stat().st_size > 10_000


def test_a_run_without_validation_is_not_passed_over(
    own_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(own_run.parents[1])
    (own_run / "checkpoints" / "best.ckpt").unlink()

    assert main(["predict", "--images", str(PICTURES)]) == 2
    assert (
        "without validation there is none: use lightning_logs/version_0/checkpoints/last.ckpt."
        in capsys.readouterr().err
    )


def test_git_passes_over_what_commands_write_beside_it() -> None:
    written = [f"weights/{name}" for name in ("predictions.csv", "test.json", "validate.json")]
    done = subprocess.run(["git", "check-ignore", *written], cwd=REPOSITORY, capture_output=True, text=True)

    assert done.stdout.splitlines() == written
