"""Data, runs and checkpoints that are not where they were looked for, or are something else."""

from pathlib import Path

import pytest

from src.data.checks import TRAIN_IMAGES, TRAIN_LABELS
from tests.faults.folders import (
    blocked_folder,
    cut,
    few_labels,
    foreign_checkpoint,
    link,
    truncated_checkpoint,
)
from tests.refusals.conftest import Refuse
from tests.refusals.requests import FIT, Request

pytestmark = pytest.mark.slow


def runs(folder: Path) -> None:
    for number in range(3):
        (folder / "lightning_logs" / f"version_{number}" / "checkpoints").mkdir(parents=True)
    for number in range(2):  # the third was ended before its first checkpoint
        (folder / "lightning_logs" / f"version_{number}" / "checkpoints" / "last.ckpt").touch()


REQUESTS = {
    "a folder without data": Request("fit --data.data_dir nowhere", ("--data.data_dir nowhere: there is no such",)),
    "a folder without pictures": Request(
        "fit --data.dataset folder --data.data_dir sings", ("--data.data_dir sings: there is no such folder",)
    ),
    "arrays without a folder": Request(
        "fit --data.dataset arrays", ("--data.dataset arrays needs --data.data_dir: name the folder.",)
    ),
    "a truncated file": Request(FIT, (f"digits/{TRAIN_IMAGES} is truncated", "complete copy"), cut(TRAIN_IMAGES)),
    "counts that differ": Request(FIT, (TRAIN_IMAGES, "230 images", TRAIN_LABELS, "3 labels"), few_labels),
    "an output where no file can be": Request(
        "data --data.data_dir digits --output /proc/data.png", ("/proc/data.png: no file can be made there; name",)
    ),
    "best, nearly": Request("test --ckpt_path bset", ("--ckpt_path bset: no such", "a run folder, best or last.")),
    "a folder that is no run": Request("test --ckpt_path .", ("has no checkpoints/best.ckpt", "name another run.")),
    "no such run": Request(
        "test --ckpt_path lightning_logs/version_7", ("no such", "the newest run is lightning_logs/version_1."), runs
    ),
    "a run without its folder": Request(
        "test --ckpt_path version_0", ("no such", "did you mean lightning_logs/version_0?"), runs
    ),
    "a missing checkpoint": Request("test --ckpt_path my.ckpt", ("--ckpt_path my.ckpt", "no such file")),
    "a truncated checkpoint": Request("test --ckpt_path my.ckpt", ("my.ckpt", "not a readable"), truncated_checkpoint),
    "a foreign checkpoint": Request("fit --ckpt_path my.ckpt", ("my.ckpt", "of this project"), foreign_checkpoint),
    "a name that is too long": Request(f"test --ckpt_path {'x' * 300}", ("File name too long", "name another place")),
    "a link to itself": Request(
        "test --ckpt_path loop", ("loop: Too many levels", "name another place"), link("loop", "loop")
    ),
    "a link to nothing": Request("test --ckpt_path link", ("--ckpt_path link", "no such"), link("link", "nowhere")),
    "an unwritable log folder": Request(FIT, ("lightning_logs", "--trainer.default_root_dir"), blocked_folder),
    "a log folder that links to nothing": Request(
        FIT, ("lightning_logs cannot be written", "broken link"), link("lightning_logs", "nowhere/logs")
    ),
    "runs behind a link to nothing": Request(
        "test --ckpt_path best", ("--ckpt_path best", "train one first"), link("lightning_logs", "nowhere/logs")
    ),
    "runs behind a link to itself": Request(
        "test --ckpt_path best",
        ("lightning_logs: Too many levels", "name another place"),
        link("lightning_logs", "lightning_logs"),
    ),
    "runs in a file": Request("test --ckpt_path last", ("lightning_logs: Not a directory",), blocked_folder),
    "a root that is a file": Request(
        f"{FIT} --trainer.default_root_dir my",
        ("my/lightning_logs", "Not a directory"),
        lambda folder: (folder / "my").touch(),
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request_gets_one_sentence_and_writes_nothing(name: str, refuse: Refuse) -> None:
    refuse(REQUESTS[name])
