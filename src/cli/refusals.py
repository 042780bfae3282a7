"""Requests that cannot be met: refused by the flag's name instead of ignored."""

import os
import shutil
from itertools import pairwise

import torch
from jsonargparse import Namespace

from src.common.errors import UsageError
from src.common.system import memory_bytes
from src.model.networks import build_network

AT_LEAST_ONE = ("accumulate_grad_batches", "check_val_every_n_epoch")  # Lightning divides by these unchecked
BYTES_PER_WEIGHT, CLASSES = 4, 2  # lower bounds for every network
COMPILERS = ("g++", "clang++", "c++", "cl")
# flags that need one optimizer step per batch -> the values that have no effect (1.0 is all batches)
PER_BATCH: dict[str, tuple[object, ...]] = {
    "accumulate_grad_batches": (1,),
    "gradient_clip_val": (None, 0, 0.0),
    "limit_train_batches": (None, 1.0),
    "overfit_batches": (0, 0.0),
    "val_check_interval": (None, 1.0),
}


def refuse_with_several_steps(request: Namespace) -> None:
    """Refuse the flags in PER_BATCH when a batch of Lightning's holds several optimizer steps."""
    steps = request.model.steps_per_execution
    for name, allowed in PER_BATCH.items():
        value = request.trainer[name]
        if steps > 1 and (type(value), value) not in [(type(default), default) for default in allowed]:
            raise UsageError(
                f"--trainer.{name} {value} does not go with {steps} steps per execution: "
                "add --model.steps_per_execution 1."
            )


def refuse_impossible(request: Namespace) -> None:
    """Refuse counts below 1 and networks larger than the memory, on which Lightning or torch would fail later."""
    for name in AT_LEAST_ONE:
        value = request.trainer[name]
        if value is not None and value < 1:
            raise UsageError(f"--trainer.{name} must be at least 1, got {value}.")
    for name in ("max_epochs", "max_steps"):
        if request.trainer[name] == 0:
            raise UsageError(f"--trainer.{name} 0 leaves nothing to train: ask for 1 or more, or -1 for no limit.")
    if request.ema_decay is not None and not 0 <= request.ema_decay < 1:
        raise UsageError(f"--ema_decay must be at least 0 and below 1, got {request.ema_decay}.")
    model = request.model
    if model.compile and not any(map(shutil.which, (os.environ.get("CXX", "g++"), *COMPILERS))):
        raise UsageError("--model.compile true needs a C++ compiler, and none is found: install g++, or leave it out.")
    memory = memory_bytes()
    # first the layers that every network has: torch, which counts the other layers, overflows at 2**64 bytes
    needed = BYTES_PER_WEIGHT * sum(fan_in * fan_out for fan_in, fan_out in pairwise([*model.hidden_units, CLASSES]))
    if needed <= memory and model.network in ("mlp", "cnn"):
        with torch.device("meta"):  # shapes without memory
            network = build_network(model.network, model.hidden_units, CLASSES)
        needed = sum(parameter.nbytes for parameter in network.parameters())
    if needed > memory:
        raise UsageError(
            f"--model.hidden_units {list(model.hidden_units)}: the weights take at least {needed / 1e9:,.0f} GB, "
            f"more than the {memory / 1e9:,.0f} GB of this machine's memory."
        )


def refuse_variables() -> None:
    """Refuse Lightning's environment variables PL_TRAINER_*, which this command line's defaults would override."""
    for name in os.environ:
        if name.startswith("PL_TRAINER_"):
            flag = f"--trainer.{name.removeprefix('PL_TRAINER_').lower()} {os.environ[name]}"
            raise UsageError(f"{name} is not read here: unset it, and use {flag}.")
