"""Flags of the Trainer that leave nothing to train, do not fit the data or do not go with executions."""

import pytest

from tests.refusals.conftest import Refuse
from tests.refusals.requests import FIT, Request

pytestmark = pytest.mark.slow

EXECUTION = f"{FIT} --model.steps_per_execution 3"
REQUESTS = {
    "no epochs": Request(f"{FIT} --trainer.max_epochs 0", ("--trainer.max_epochs 0 leaves nothing to train",)),
    "no steps": Request(f"{FIT} --trainer.max_steps 0", ("--trainer.max_steps 0 leaves nothing to train",)),
    "max_epochs below nothing": Request(f"{FIT} --trainer.max_epochs -7", ("max_epochs", "-7")),
    "a number or nothing": Request(
        f"{FIT} --trainer.max_epochs many", ("--trainer.max_epochs", "a whole number, null")
    ),
    "a limit that leaves no batch": Request(f"{FIT} --trainer.limit_train_batches 0.0001", ("limit_train_batches",)),
    "an endless limit": Request(f"{FIT} --trainer.overfit_batches inf", ("--trainer.overfit_batches", "inf")),
    "less than a batch to overfit": Request(
        f"{FIT} --trainer.overfit_batches 0.01",
        ("--trainer.overfit_batches 0.01 is less than a batch: give a whole number, such as 1.",),
    ),
    "no batch to accumulate": Request(
        f"{FIT} --trainer.accumulate_grad_batches 0", ("--trainer.accumulate_grad_batches must be at least 1, got 0",)
    ),
    "validation every zero epochs": Request(
        f"{FIT} --trainer.check_val_every_n_epoch 0", ("--trainer.check_val_every_n_epoch must be at least 1, got 0",)
    ),
    "validation after the epoch": Request(
        f"{FIT} --trainer.val_check_interval 7", ("--trainer.val_check_interval 7", "6 batches")
    ),
    "clipping within an execution": Request(
        f"{EXECUTION} --trainer.gradient_clip_val 1",
        ("--trainer.gradient_clip_val 1", "--model.steps_per_execution 1."),
    ),
    "validation after each batch of an execution": Request(
        f"{EXECUTION} --trainer.val_check_interval 1", ("--trainer.val_check_interval 1 ",)
    ),
    "one batch of an execution": Request(
        f"{EXECUTION} --trainer.limit_train_batches 1", ("--trainer.limit_train_batches 1 ",)
    ),
    "an unknown accelerator": Request(f"{FIT} --trainer.accelerator foo", ("--trainer.accelerator", "foo", "cpu")),
    "an unknown strategy": Request(f"{FIT} --trainer.strategy foo", ("--trainer.strategy", "foo", "ddp")),
    "an unknown profiler": Request(f"{FIT} --trainer.profiler foo", ("--trainer.profiler", "simple")),
    "half a device": Request(f"{FIT} --trainer.devices 3.5", ("--trainer.devices",)),
    "no node": Request(f"{FIT} --trainer.num_nodes 0", ("--trainer.num_nodes", "0")),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request_gets_one_sentence_and_writes_nothing(name: str, refuse: Refuse) -> None:
    refuse(REQUESTS[name])
