"""The walk through docs/make_it_yours.md: its files are written, its commands run, and they do what it says."""

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from scripts.pictures_to_idx import convert
from tests.conftest import REPOSITORY, run_process
from tests.shell import run_as_written
from tests.training import checkpoint, same

PAGE = (REPOSITORY / "docs" / "make_it_yours.md").read_text()
# the part before, which deletes, is run by test_deletion.py
WALK = PAGE[: PAGE.index("## Start by deleting")] + PAGE[PAGE.index("## 1. ") :]
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", WALK, re.DOTALL | re.MULTILINE)
SIGNS, NETWORK, METRIC, FURTHER, _, MIXUP = range(6)  # the runs, in the order of the page

TWO_EPOCHS = ["--trainer.max_epochs", "2"]


@dataclass
class Walk:
    """A clone after the last step, and what each command printed."""

    folder: Path
    printed: dict[str, str]

    def run(self, number: int) -> Path:
        return self.folder / "lightning_logs" / f"version_{number}"

    def config(self, number: int) -> dict[str, Any]:
        path = self.run(number) / "checkpoints" / "best.ckpt"
        content: dict[str, Any] = torch.load(path, weights_only=True)["config"]
        return content

    def weights(self, number: int) -> dict[str, torch.Tensor]:
        return checkpoint(self.run(number))["state_dict"]

    def result(self, number: int) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.run(number) / "result.json").read_text())
        return content

    def answers(self, number: int) -> list[str]:
        with (self.run(number) / "predictions.csv").open(newline="") as file:
            return [row["digit"] for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def walk(clone: Path) -> Walk:
    printed: dict[str, str] = {}
    for kind, text in BLOCKS:
        if kind in ("python", "yaml"):
            (clone / text.split("\n")[0].removeprefix("# ")).write_text(text)
        elif kind == "bash":
            for command in text.splitlines():
                printed[command] = run_as_written(command, clone)
    return Walk(clone, printed)


def test_the_walk_has_no_other_blocks() -> None:
    assert {kind for kind, _ in BLOCKS} == {"bash", "python", "yaml", ""}


def test_pictures_in_folders_go_through_every_command(walk: Walk) -> None:
    content = torch.load(walk.run(SIGNS) / "checkpoints" / "best.ckpt", weights_only=True)

    assert content["MNISTDataModule"]["image_shape"] == [32, 32, 3]
    assert content["MNISTDataModule"]["classes"][:2] == ["crimson disc", "crimson square"]
    assert json.loads((walk.run(SIGNS) / "test.json").read_text())["test/acc"] > 0.4  # of nine classes
    assert walk.answers(SIGNS).count("seagreen disc") > 5
    assert (walk.folder / "signs.onnx").stat().st_size > 100_000
    assert (walk.folder / "signs.png").exists()


def test_the_accuracy_that_the_page_promises_is_reached(walk: Walk) -> None:
    promised = [
        float(figure) for figure in re.findall(r"of about (0\.\d+); the network of the next.* (0\.\d+)", PAGE)[0]
    ]
    reached = [walk.result(number)["best"]["val/acc"] for number in (SIGNS, NETWORK)]

    assert reached == pytest.approx(promised, abs=0.1)


def test_a_network_of_ones_own_is_trained_exported_and_read_from(walk: Walk) -> None:
    assert walk.config(NETWORK)["model"]["network"]["class_path"] == "residual.Residual"
    assert json.loads((walk.run(NETWORK) / "test.json").read_text())["test/acc"] > 0.95
    assert (walk.folder / "residual.onnx").stat().st_size > 100_000


def test_the_shown_lines_are_a_real_log(walk: Walk) -> None:
    (parameters,) = re.findall(r"^Parameters +([\d,]+)$", PAGE, re.MULTILINE)
    ((number, shown),) = re.findall(r"^Epoch (\d+)/12 - [\d.]+s - (loss: .*)$", PAGE, re.MULTILINE)
    result = walk.result(NETWORK)
    epoch = result["epochs"][int(number) - 1]

    assert f"{result['parameters']:,}" == parameters
    names = ("train/loss", "train/acc", "val/loss", "val/acc")
    # other processors sum in another order
    figures = [float(figure) for figure in re.findall(r"\d\.\d+", shown)]
    assert figures == pytest.approx([epoch[name] for name in names], abs=0.05)


def test_another_loss_and_metric_are_logged_and_tell_the_best_epoch(walk: Walk) -> None:
    result = walk.result(METRIC)
    (shown,) = re.findall(r"^Epoch 2/2 - [\d.]+s - (loss: .*)$", PAGE, re.MULTILINE)
    names = [f"{stage}/{name}" for stage in ("train", "val") for name in ("loss", "acc", "f1")]

    assert result["best"]["val/f1"] == max(epoch["val/f1"] for epoch in result["epochs"])
    figures = [float(figure) for figure in re.findall(r"\d\.\d+", shown)]
    assert figures == pytest.approx([result["epochs"][1][name] for name in names], abs=0.01)


def test_trained_weights_are_where_another_training_starts(walk: Walk) -> None:
    before, after = walk.result(METRIC)["epochs"], walk.result(FURTHER)["epochs"]

    assert walk.config(FURTHER)["model"]["lr"] == 1e-4
    assert after[0]["train/loss"] < before[-1]["train/loss"] < before[0]["train/loss"]


def test_a_training_step_of_ones_own_trains_and_resumes_bit_for_bit(walk: Walk) -> None:
    first, last = walk.result(MIXUP)["epochs"]
    config = ["--config", "configs/mlp.yaml"]
    for words in (["fit", *config, "--trainer.max_epochs", "1"], ["fit", "--ckpt_path", "last", *TWO_EPOCHS]):
        assert run_process(*words, cwd=walk.folder).code == 0
    whole, resumed = (walk.weights(number) for number in (MIXUP, MIXUP + 1))

    assert last["train/loss"] < first["train/loss"]
    assert last["train/loss"] > 1.5 * last["val/loss"]  # mixed images are harder
    assert last["val/acc"] > 0.9
    assert same(whole, resumed)


def test_what_it_adds_is_in_the_style_of_the_project(walk: Walk) -> None:
    run_as_written("ruff format --check src scripts residual.py && ruff check src scripts", walk.folder)


def test_pictures_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for label in range(2):
        (tmp_path / "pictures" / str(label)).mkdir(parents=True)
    with pytest.raises(ValueError, match="pictures has 0 pictures"):
        convert(tmp_path / "pictures", tmp_path / "files")
    for number in range(6):
        Image.linear_gradient("L").resize((9, 9)).save(tmp_path / "pictures" / "1" / f"{number}.png")
    (tmp_path / "pictures" / "0" / "notes.txt").write_text("not a picture")

    with pytest.raises(ValueError, match=r"pictures/0/notes\.txt: not a picture|pictures/1/\d.png: no ink"):
        convert(tmp_path / "pictures", tmp_path / "files")
    assert not (tmp_path / "files").exists()
