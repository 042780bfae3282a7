"""What is drawn when a run goes on, goes back or is asked for its pictures later: each epoch once."""

from pathlib import Path

import pytest

from src.inspection.callback import Inspection
from tests.conftest import Cli
from tests.inspection.conftest import EVERY, OFF, best_epoch, shown, steps, written
from tests.training import EPOCHS, run_folder


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
