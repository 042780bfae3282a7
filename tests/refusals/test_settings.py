"""Settings of the network, the data and the pictures that are of another type or out of their range."""

import pytest

from tests.refusals.conftest import Refuse
from tests.refusals.requests import FIT, Request

pytestmark = pytest.mark.slow

FOLDS = f"{FIT.replace('--data.val_size 60 ', '')} --data.folds"
REQUESTS = {
    "wrong type": Request(f"{FIT} --model.lr fast", ("--model.lr", "Expected a number", "fast")),
    "lr of zero": Request(f"{FIT} --model.lr 0", ("--model.lr", "positive")),
    "dropout of one": Request(f"{FIT} --model.dropout 1", ("--model.dropout", "below 1")),
    "negative dropout": Request(f"{FIT} --model.dropout -0.5", ("--model.dropout", "at least 0")),
    "no hidden layer": Request(f"{FIT} --model.hidden_units []", ("--model.hidden_units", "[256]")),
    "an empty hidden layer": Request(f"{FIT} --model.hidden_units [8,0]", ("--model.hidden_units", "[8, 0]")),
    "a number in the place of a list": Request(f"{FIT} --model.hidden_units 256", ('a list such as "[256]". Got',)),
    "a list with a space, which the shell cuts": Request(
        f"{FIT} --model.hidden_units [256, 128]",
        ("--model.hidden_units: [256, is half a list: put the list in",),
    ),
    "a metric without its list": Request(
        f"{FIT} --model.metrics MulticlassAUROC", ('--model.metrics: Expected a list such as "[MulticlassAUROC]".',)
    ),
    "one side of an image": Request(
        f"{FIT} --data.image_size 32", ('--data.image_size: Expected a list such as "[32,32]". Got value: 32',)
    ),
    "half a unit": Request(f"{FIT} --model.hidden_units [8.5]", ("--model.hidden_units", "a whole number", "8.5")),
    "a layer larger than the memory": Request(
        f"{FIT} --model.hidden_units [100000000000]", ("--model.hidden_units [100000000000]", "at least 800 GB")
    ),
    "a layer larger than any number": Request(
        f"{FIT} --model.hidden_units [1{'0' * 30}]", ("--model.hidden_units", "memory")
    ),
    "an execution of no steps": Request(f"{FIT} --model.steps_per_execution 0", ("--model.steps_per_execution", "1")),
    "a graph of one step": Request(f"{FIT} --model.cuda_graph true", ("--model.cuda_graph", "steps_per_execution 48")),
    "a seed that is a word": Request(f"{FIT} --seed_everything true", ("--seed_everything", "whole number")),
    "unknown choice": Request(f"{FIT} --data.normalization none", ("--data.normalization", "unit", "standard")),
    "a mean that is no number": Request(
        f"{FIT} --data.normalization [.nan,1.0]", ("--data.normalization [mean, std] needs two numbers", "nan")
    ),
    "a data set's name that climbs": Request(
        f"{FIT} --data.dataset ../MNIST", ("--data.dataset", "../MNIST", "KMNIST")
    ),
    "a value of 3,000 characters": Request(f"{FIT} --data.split {'x' * 3_000}", ("--data.split", "tail", " ... ")),
    "a mapped file on the device": Request(
        f"{FIT} --data.memory_map true --data.on_device true", ("--data.memory_map", "--data.on_device")
    ),
    "batch size of zero": Request(f"{FIT} --data.batch_size 0", ("--data.batch_size", "from 1 up")),
    "a batch larger than the split": Request(f"{FIT} --data.batch_size 171", ("--data.batch_size", "at most 170")),
    "a size that is no number": Request(f"{FIT} --data.val_size .nan", ("--data.val_size", "nan")),
    "val_size of everything": Request(f"{FIT} --data.val_size 230", ("--data.val_size", "below the 230")),
    "a fold beyond the last": Request(
        f"{FOLDS} 10 --data.fold 10", ("--data.folds 10 must be at least 2, and --data.fold 10 one of them",)
    ),
    "a fold before the first": Request(f"{FOLDS} 10 --data.fold -1", ("--data.fold -1 one of them, counted from 0.",)),
    "folds without the one that validates": Request(
        f"{FOLDS} 10", ("--data.fold None and --data.folds 10 need each other: say which part",)
    ),
    "a fold of nothing": Request(f"{FIT} --data.fold 3", ("--data.fold 3 and --data.folds None need each other",)),
    "one fold": Request(f"{FOLDS} 1 --data.fold 0", ("--data.folds 1 must be at least 2",)),
    "folds and a number of images": Request(
        f"{FIT} --data.fold 3 --data.folds 10",
        ("--data.val_size 60 does not go with --data.folds 10: leave it out, or at 12000",),
    ),
    "more folds than images": Request(f"{FOLDS} 231 --data.fold 0", ("--data.folds 231 is more than the 230",)),
    "no samples": Request(f"{FIT} --inspection.samples 0", ("--inspection.samples", "from 1 to the 60 val")),
    "more samples than there are": Request(f"{FIT} --inspection.samples 61", ("--inspection.samples", "60", "got 61")),
    "a height without a width": Request(
        f"{FIT} --data.image_size [28]", ("--data.image_size needs a height and a width, such as [32, 32], got [28].",)
    ),
    "checkpoints every -1 steps": Request(
        f"{FIT} --checkpoints.every_n_steps -1", ("--checkpoints.every_n_steps must be 0 or more, got -1.",)
    ),
    "negative epochs": Request(f"{FIT} --inspection.every_n_epochs -1", ("--inspection.every_n_epochs", "0 or more")),
    "a switch that is a word": Request(f"{FIT} --inspection.enabled often", ("--inspection.enabled", "often")),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request_gets_one_sentence_and_writes_nothing(name: str, refuse: Refuse) -> None:
    refuse(REQUESTS[name])
