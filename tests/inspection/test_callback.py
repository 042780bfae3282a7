"""What a run and a test show of the network, as the command line draws it on small synthetic data."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from src.inspection.dashboards import draw_weights
from src.model.classifier import Classifier
from tests.conftest import TEST_SIZE, Cli
from tests.inspection.conftest import OFF, best_epoch, shown, steps, succeeds, written
from tests.training import EPOCHS, checkpoint, run_folder

PICTURES = ("confusion", "worst_mistakes", "surest_and_least_sure", "reliability")


def test_a_run_shows_what_it_learned_where_it_fails_and_how_sure_it_is(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    folder = run_folder(tmp_path)
    tags = shown(folder).Tags()

    assert set(tags["images"]) == {"train/first_batch", "weights/first_layer", *(f"val/{name}" for name in PICTURES)}
    assert {step for tag in tags["images"] for step in steps(folder, tag)} == {best_epoch(folder)}
    layers = [f"linear{number}.{kind}" for number in (1, 2) for kind in ("weight", "bias")]
    assert set(tags["histograms"]) == {f"weights/{layer}{end}" for layer in layers for end in ("", ".gradient")}
    assert [event.step for event in shown(folder).Histograms("weights/linear1.weight")] == [0, best_epoch(folder)]
    assert {f"val/{digit}" for digit in range(10)} <= set(tags["tensors"])  # PR curves
    assert tags["graph"]
    assert "val/calibration_error" in tags["scalars"]
    assert "python -m src.cli fit" in written(folder, "run/command")
    assert (folder / "config.yaml").read_text().strip() in written(folder, "run/config")
    assert "203,530" in written(folder, "run/parameters")
    assert "with dropout and distortion" in written(folder, "run/metrics")
    assert "| class | precision | recall | F1 | support |" in written(folder, "val/classes")
    assert not any("test" in tag for kind in ("images", "tensors", "scalars") for tag in tags[kind])


def test_the_weights_that_are_shown_are_the_best_ones_and_not_the_last(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget(self: Any) -> None:
        if self.current_epoch == 2:
            with torch.no_grad():
                self.net.linear1.weight.zero_()

    monkeypatch.setattr(Classifier, "on_validation_start", forget)
    cli("fit", *EPOCHS)
    folder = run_folder(tmp_path)
    best, last = (checkpoint(folder, name)["state_dict"]["net.linear1.weight"].max() for name in ("best", "last"))

    assert best > last == 0
    assert shown(folder).Histograms("weights/linear1.weight")[-1].histogram_value.max == pytest.approx(float(best))


def test_the_projector_has_the_samples_that_were_asked_for(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS, "--inspection.samples", "40", "--model.hidden_units", "[12,7]")
    place = run_folder(tmp_path) / "projector" / "val"
    rows = [line.split("\t") for line in (place / "images.tsv").read_text().splitlines()]
    values = [line.split("\t") for line in (place / "activations.tsv").read_text().splitlines()]

    assert rows[0] == ["class", "predicted", "confidence", "position"]
    assert len(rows) == 1 + 40
    assert len({row[3] for row in rows[1:]}) == 40
    assert all(170 <= int(row[3]) < 230 for row in rows[1:])
    assert [len(row) for row in values] == [7] * 40


def test_a_test_adds_its_own_pictures_and_leaves_those_of_val(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    folder = run_folder(tmp_path)
    before = {tag: steps(folder, tag) for tag in shown(folder).Tags()["images"]}
    answer = cli("test", "--ckpt_path", "best")
    after = shown(folder).Tags()

    assert succeeds(answer)
    assert set(after["images"]) == {*before, *(f"test/{name}" for name in PICTURES)}
    assert {tag: steps(folder, tag) for tag in before} == before
    assert steps(folder, "test/confusion") == [best_epoch(folder)]
    assert {"test/acc", "test/loss", "test/calibration_error"} <= set(after["scalars"])
    assert {f"test/{digit}" for digit in range(10)} <= set(after["tensors"])
    assert f"| {TEST_SIZE} |" in written(folder, "test/classes")
    assert "hp_metric" not in after["scalars"]
    config = (folder / "projector_config.pbtxt").read_text()
    assert re.findall(r'tensor_name: "(\w+), epoch', config) == ["val", "test"]
    assert len((folder / "projector" / "test" / "images.tsv").read_text().splitlines()) == 1 + TEST_SIZE


def test_without_a_validation_split_the_network_is_shown_and_the_rest_explained(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *EPOCHS, "--data.val_size", "0")
    tags = shown(run_folder(tmp_path)).Tags()

    assert succeeds(answer)
    assert answer.out.count("no pictures of mistakes") == 1
    assert set(tags["images"]) == {"train/first_batch", "weights/first_layer"}
    assert steps(run_folder(tmp_path), "weights/first_layer") == [3]


def test_a_checkpoint_outside_of_a_run_gets_no_pictures(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS, *OFF)
    (run_folder(tmp_path) / "checkpoints" / "best.ckpt").rename(tmp_path / "mine.ckpt")
    assert succeeds(cli("test", "--ckpt_path", str(tmp_path / "mine.ckpt")))

    assert not list(tmp_path.glob("events.*"))


@pytest.mark.parametrize(
    ("layer", "tags"),
    [
        (nn.Linear(784, 3), ["weights/first_layer"]),
        (nn.Conv2d(1, 3, 5), ["weights/first_layer"]),
        (nn.Linear(28, 3), []),  # which sees rows
        (nn.Conv1d(28, 3, 5), []),
        (nn.LayerNorm(28), []),
    ],
)
def test_weights_are_drawn_where_the_layer_sees_images(layer: nn.Module, tags: list[str]) -> None:
    drawn: list[str] = []
    batch = SimpleNamespace(images=torch.zeros(2, 1, 28, 28))
    view: Any = SimpleNamespace(net=layer, batch=batch, step=1, add_picture=lambda tag, _: drawn.append(tag))
    draw_weights(view)

    assert drawn == tags
