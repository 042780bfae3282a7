"""Requests that do not fit the checkpoint that they name."""

import pytest

from tests.faults.folders import no_best, packed
from tests.refusals.conftest import Refuse
from tests.refusals.requests import RUN, Request

pytestmark = pytest.mark.slow

TRAINED = {
    "another lr on a restored optimizer": Request("fit --ckpt_path last --model.lr 0.5", ("--model.lr 0.5", "0.001")),
    "other executions": Request(
        "fit --ckpt_path last --model.steps_per_execution 3 --trainer.max_epochs 4",
        ("--model.steps_per_execution 3", "last.ckpt, which has 1"),
    ),
    "another network": Request("test --ckpt_path best --model.hidden_units [3]", ("--model.hidden_units [3]", "[256]")),
    "other classes": Request(
        "test --ckpt_path best --data.dataset FashionMNIST", ("--data.dataset FashionMNIST", "MNIST")
    ),
    "a mapped file that is compressed": Request(
        "test --ckpt_path best --data.data_dir packed --data.memory_map true",
        (".gz", "--data.memory_map false"),
        packed,
    ),
    "too many samples": Request("test --ckpt_path best --inspection.samples 71", ("--inspection.samples", "70 test")),
    "fewer epochs than there are": Request(
        "fit --ckpt_path last --trainer.max_epochs 1", ("--trainer.max_epochs 1", "2 epochs")
    ),
    "a branch without an epoch": Request("fit --ckpt_path best --trainer.max_epochs 2", ("max_epochs 2", "nothing")),
    "images that were trained on": Request(
        "fit --ckpt_path last --data.val_size 100 --trainer.max_epochs 4", ("--data.val_size 100", "has 60")
    ),
    "pixels that the network does not know": Request(
        "test --ckpt_path best --data.normalization standard", ("--data.normalization standard", "has unit")
    ),
    "a run folder without a checkpoint": Request("test --ckpt_path digits", ("--ckpt_path digits", "best.ckpt")),
    "best without validation": Request(
        "test --ckpt_path best", ("best.ckpt", f"use {RUN}/checkpoints/last.ckpt"), no_best
    ),
    "a run without validation": Request(
        f"test --ckpt_path {RUN}", ("checkpoints/best.ckpt", f"use {RUN}/checkpoints/last.ckpt"), no_best
    ),
}


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.usefixtures("own_run")
def test_requests_that_do_not_fit_the_checkpoint(name: str, refuse: Refuse) -> None:
    refuse(TRAINED[name])
