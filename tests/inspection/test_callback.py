"""The inspection as the command line runs it, on small synthetic data."""

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.common import events
from src.inspection import dashboards
from src.inspection.callback import Inspection, copy_of_network
from src.model.classifier import Classifier
from tests.conftest import DRAWN, TEST_SIZE, Answer, Cli
from tests.training import EPOCHS, checkpoint, run_folder, same_training

OFF = ("--inspection.enabled", "false")
EVERY = ("--inspection.every_n_epochs", "1")
PICTURES = ("confusion", "worst_mistakes", "surest_and_least_sure", "reliability")


@pytest.fixture
def cli(cli: Cli) -> Cli:
    """With pictures, which other tests leave out."""

    def run(command: str, *words: str) -> Answer:
        return cli(command, *(DRAWN if command == "fit" and "--ckpt_path" not in words else []), *words)

    return run


def shown(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder), size_guidance={"images": 0, "histograms": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def steps(folder: Path, tag: str) -> list[int]:
    return [event.step for event in shown(folder).Images(tag)] if tag in shown(folder).Tags()["images"] else []


def written(folder: Path, tag: str) -> str:
    return b"".join(shown(folder).Tensors(f"{tag}/text_summary")[-1].tensor_proto.string_val).decode()


def best_epoch(folder: Path) -> int:
    return len(checkpoint(folder, "best")["callbacks"]["History"]["epochs"])


def succeeds(answer: Answer) -> bool:
    return (answer.code, answer.err) == (0, "")


def test_training_with_and_without_it_gives_the_same_bits(cli: Cli, tmp_path: Path) -> None:
    dropout = ("--model.dropout", "0.5")  # its masks come from the global random state
    for flags in (OFF, EVERY):
        assert succeeds(cli("fit", *EPOCHS, *dropout, *flags))
    without, with_it = (checkpoint(run_folder(tmp_path, number)) for number in range(2))

    assert "weights/first_layer" not in shown(run_folder(tmp_path)).Tags()["images"]
    assert steps(run_folder(tmp_path, 1), "weights/first_layer") != []
    assert same_training(without, with_it)


def test_the_network_that_is_shown_has_no_dropout_and_the_trained_one_keeps_it() -> None:
    classifier = Classifier(dropout=0.5).train()
    shown = copy_of_network(classifier)
    images = torch.rand(3, 28, 28)

    assert torch.equal(shown(images), shown(images))
    assert not torch.equal(classifier.net(images), classifier.net(images))


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
    assert "with\ndropout and distortion" in written(folder, "run/metrics")
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


def test_every_n_epochs_shows_the_best_weights_so_far_once_each(cli: Cli, tmp_path: Path) -> None:
    cli("fit", "--trainer.max_epochs", "6", "--model.lr", "0.01", *EVERY)
    folder = run_folder(tmp_path)
    scores = [event.value for event in shown(folder).Scalars("val/acc")]
    records = [epoch for epoch, score in enumerate(scores, start=1) if score > max(scores[: epoch - 1], default=0)]

    assert len(records) > 1
    assert steps(folder, "val/confusion") == records
    assert steps(folder, "weights/first_layer") == records
    assert [event.step for event in shown(folder).Histograms("weights/linear1.weight")] == [0, *records]
    graphs = b"".join(path.read_bytes() for path in folder.glob("events.*"))
    assert graphs.count(b"aten::linear") == 2  # the layers of one graph


def test_a_resumed_run_draws_only_what_is_new(cli: Cli, tmp_path: Path) -> None:
    cli("fit", "--trainer.max_epochs", "2")
    cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "3")
    folder = run_folder(tmp_path)
    drawn = steps(folder, "val/confusion")
    files = len(list(folder.glob("events.*")))
    cli("fit", "--ckpt_path", "last")

    assert drawn == sorted(set(drawn))
    assert drawn[-1] == best_epoch(folder)
    assert steps(folder, "val/confusion") == drawn
    assert len(list(folder.glob("events.*"))) == files + 1  # the logger's own
    assert "--trainer.max_epochs 3" in written(folder, "run/command")


def test_a_run_that_goes_back_is_drawn_again(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    folder = run_folder(tmp_path)
    assert best_epoch(folder) == 3  # which the resume takes out of the curves
    cli("fit", "--ckpt_path", str(folder / "checkpoints" / "last.prev.ckpt"))

    assert steps(folder, "val/confusion") == [3]


def test_a_run_that_goes_back_and_is_killed_before_it_draws_is_drawn_again(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("fit", *EPOCHS)
    folder = run_folder(tmp_path)
    with monkeypatch.context() as killed:
        killed.setattr(Inspection, "on_fit_end", lambda *_: None)
        cli("fit", "--ckpt_path", str(folder / "checkpoints" / "last.prev.ckpt"))
    cli("fit", "--ckpt_path", "last")

    assert steps(folder, "val/confusion") == [3] == [best_epoch(folder)]


def test_a_curves_file_that_is_named_after_a_drawn_one_is_none(cli: Cli, tmp_path: Path) -> None:
    """As where a resumed process begins within the second in which the one before has drawn."""
    cli("fit", *EPOCHS)
    folder = run_folder(tmp_path)
    (drawn,) = folder.glob("events.out.tfevents.*.step*")
    (folder / f"{drawn.name}.1").write_bytes(b"")
    answer = cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "5")

    assert (answer.code, answer.err) == (0, "")
    assert len(steps(folder, "val/confusion")) == len(set(steps(folder, "val/confusion"))) > 0


def test_a_resumed_run_keeps_the_options(cli: Cli, tmp_path: Path) -> None:
    cli("fit", "--trainer.max_epochs", "2", *OFF)
    cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "3")

    assert shown(run_folder(tmp_path)).Tags()["images"] == []


def test_a_run_that_was_not_drawn_is_drawn_when_it_is_asked_for_again(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS, *OFF)
    cli("fit", "--ckpt_path", "last", "--inspection.enabled", "true")

    assert steps(run_folder(tmp_path), "val/confusion") == [best_epoch(run_folder(tmp_path))]


def test_without_a_validation_split_the_network_is_shown_and_the_rest_explained(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *EPOCHS, "--data.val_size", "0")
    tags = shown(run_folder(tmp_path)).Tags()

    assert succeeds(answer)
    assert answer.out.count("no pictures of mistakes") == 1
    assert set(tags["images"]) == {"train/first_batch", "weights/first_layer"}
    assert steps(run_folder(tmp_path), "weights/first_layer") == [3]


def test_the_sanity_check_draws_nothing(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    draw = Inspection._draw_split
    monkeypatch.setattr(Inspection, "_draw_split", lambda *words: drawn.append(words[-1]) or draw(*words))
    cli("fit", *EPOCHS, "--trainer.num_sanity_val_steps", "2")

    assert drawn == [best_epoch(run_folder(tmp_path))]


def test_a_picture_that_fails_is_one_line_and_the_others_are_drawn(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: object) -> None:
        raise OSError("cannot open\n resource")  # what Pillow says of a missing font

    monkeypatch.setattr(dashboards.charts, "confusion", fail)
    answer = cli("fit", *EPOCHS)

    assert answer.code == 0
    assert answer.err == "warning: TensorBoard lacks the confusion (OSError: cannot open resource)\n"
    assert (run_folder(tmp_path) / "result.json").exists()
    assert steps(run_folder(tmp_path), "val/worst_mistakes") != []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_stops_the_pictures_only_and_says_so_once(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(number, os.strerror(number))

    cli("fit", *EPOCHS, *OFF)
    monkeypatch.setattr(events, "write_atomic", full)
    answer = cli("fit", *EPOCHS, *EVERY)

    assert answer.code == 0
    assert answer.err.count("\n") == 1
    assert "no more pictures" in answer.err
    assert os.strerror(number) in answer.err
    assert same_training(checkpoint(run_folder(tmp_path)), checkpoint(run_folder(tmp_path, 1)))


def test_a_hundred_epochs_write_less_than_30_mb(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    curves, pictures = sorted(path.stat().st_size for path in run_folder(tmp_path).glob("events.*"))
    projector = sum(path.stat().st_size for path in (run_folder(tmp_path) / "projector" / "val").iterdir())

    assert pictures + projector * 2_000 / 60 + curves / 3 * 100 < 30e6


def test_a_checkpoint_outside_of_a_run_gets_no_pictures(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS, *OFF)
    (run_folder(tmp_path) / "checkpoints" / "best.ckpt").rename(tmp_path / "mine.ckpt")
    assert succeeds(cli("test", "--ckpt_path", str(tmp_path / "mine.ckpt")))

    assert not list(tmp_path.glob("events.*"))
