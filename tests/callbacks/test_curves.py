"""The curves on the disk: all that was logged, once, and never half of an event."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from src.callbacks.curves import Curves
from src.common.events import event_file
from tests.conftest import REPOSITORY
from tests.training import curves


@contextmanager
def space_for(size: int) -> Iterator[None]:
    """Let no file grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def events(folder: Path) -> bytes:
    (path,) = folder.glob("events.*")
    return path.read_bytes()


def test_each_save_adds_what_was_logged_since(tmp_path: Path) -> None:
    logger = Curves(tmp_path, first_step=1)
    for step in (1, 2, 3):
        logger.log_metrics({"val/acc": step / 4}, step)
        logger.save()
        assert curves(tmp_path) == {"val/acc": [(each, each / 4) for each in range(1, step + 1)]}
    logger.log_metrics({"val/acc": 1.0}, 4)
    logger.finalize("success")

    assert len(curves(tmp_path)["val/acc"]) == 4
    assert len(list(tmp_path.glob("events.*"))) == 1


def test_a_later_process_takes_back_what_it_does_again(tmp_path: Path) -> None:
    for first_step in (1, 3):
        logger = Curves(tmp_path, first_step)
        for step in range(first_step, 5):
            logger.log_metrics({"val/acc": first_step / 4}, step)
        logger.finalize("success")

    assert curves(tmp_path) == {"val/acc": [(1, 0.25), (2, 0.25), (3, 0.75), (4, 0.75)]}


def test_a_clock_that_was_set_back_does_not_change_the_order(tmp_path: Path) -> None:
    for first_step in (1, 3, 4):
        logger = Curves(tmp_path, first_step)
        for step in range(first_step, 5):
            logger.log_metrics({"val/acc": first_step / 4}, step)
        logger.finalize("success")
        if first_step == 1:
            next(tmp_path.glob("events.*")).rename(tmp_path / "events.out.tfevents.9999999999.host.1.0")
        with event_file(tmp_path) as writer:
            writer.add_scalar("best/val/acc", first_step / 4, 4)

    assert curves(tmp_path) == {
        "val/acc": [(1, 0.25), (2, 0.25), (3, 0.75), (4, 1.0)],
        "best/val/acc": [(4, 1.0)],
    }


def test_on_a_full_disk_the_file_ends_as_before_and_nothing_is_forgotten(tmp_path: Path) -> None:
    logger = Curves(tmp_path, first_step=1)
    logger.log_metrics({"val/acc": 0.25}, 1)
    logger.save()
    before = events(tmp_path)
    for step in range(2, 30):
        logger.log_metrics({"val/acc": 0.5}, step)

    with space_for(len(before) + 70), pytest.raises(OSError, match=r"File too large: '.*/events\.out\.tfevents\..*'"):
        logger.save()
    assert events(tmp_path) == before
    logger.save()
    assert [step for step, _ in curves(tmp_path)["val/acc"]] == list(range(1, 30))


def test_what_ended_a_training_is_told_and_not_that_the_disk_is_full_still(tmp_path: Path) -> None:
    logger = Curves(tmp_path, first_step=1)
    logger.log_metrics({"val/acc": 0.25}, 1)
    before = events(tmp_path)
    with space_for(0):
        logger.finalize("failed")

    assert events(tmp_path) == before


def test_a_training_that_was_stopped_keeps_what_it_logged(tmp_path: Path) -> None:
    logger = Curves(tmp_path, first_step=1)
    logger.log_metrics({"val/acc": 0.25}, 1)
    logger.finalize("failed")

    assert curves(tmp_path) == {"val/acc": [(1, 0.25)]}


@pytest.mark.slow
def test_tensorflow_is_left_alone_where_it_is_installed(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise AssertionError('TensorFlow was imported')")
    code = "import sys, pathlib; from src.callbacks.curves import Curves; " + (
        "log = Curves(pathlib.Path(sys.argv[1]), 1); log.log_metrics({'val/acc': 0.25}, 1); log.finalize('success')"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    (tmp_path / "run").mkdir()
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True)

    assert curves(tmp_path / "run") == {"val/acc": [(1, 0.25)]}
