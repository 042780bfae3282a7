"""Pictures change no training, and one that fails or does not fit on the disk costs nothing else."""

import errno
import os
from pathlib import Path

import pytest
import torch

from src.common import events
from src.inspection import dashboards
from src.inspection.callback import Inspection, copy_of_network
from src.model.classifier import Classifier
from tests.conftest import Cli
from tests.inspection.conftest import EVERY, OFF, best_epoch, shown, steps, succeeds
from tests.training import EPOCHS, checkpoint, run_folder, same_training


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
