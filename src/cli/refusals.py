"""Requests that cannot come true, alone or with a checkpoint: refused by name, never ignored."""

import os
import shutil
import warnings
from itertools import chain, pairwise
from typing import Any

import torch
import torchmetrics
from jsonargparse import Namespace

from src.common.errors import UsageError
from src.common.system import command_line, memory_bytes
from src.data.datasets import DATASETS
from src.model.networks import build_network
from src.runs.archive import shown
from src.runs.checkpoint import Checkpoint
from src.runs.folder import Run, class_names
from src.runs.recipe import FREE, dotted, plain, policy_of, recipe_of

AT_LEAST_ONE = ("accumulate_grad_batches", "check_val_every_n_epoch")  # Lightning divides by these unchecked
BYTES_PER_WEIGHT = 4
COMPILERS = ("g++", "clang++", "c++", "cl")
# where a class that a checkpoint names may be looked up; a checkpoint never imports anything
CLASSES = (torch.optim, torch.optim.lr_scheduler, torch.nn, torchmetrics)
# flags that need one optimizer step per batch, with the values that ask for nothing (1.0 is all batches)
PER_BATCH: dict[str, tuple[object, ...]] = {
    "accumulate_grad_batches": (1,),
    "gradient_clip_val": (None, 0, 0.0),
    "limit_train_batches": (None, 1.0),
    "overfit_batches": (0, 0.0),
    "val_check_interval": (None, 1.0),
}


def settings_of(checkpoint: Checkpoint, request: Namespace, training: bool) -> dict[str, Any]:
    """Return the settings that a checkpoint brings back, nested as in a config; none that names code to import.

    Args:
        checkpoint: The checkpoint.
        request: What is asked for on top of it, which may name such a class again.
        training: Whether training goes on; else its network and its data are all that is needed.

    Raises:
        UsageError: If it has one that is not kept in checkpoints, or a class that is none of torch's or torchmetrics'
            and is not named again.
    """
    parts = checkpoint.recipe if training else ("model", "data")
    settings = {part: checkpoint.recipe[part] for part in parts if part in checkpoint.recipe}
    for key, value in dotted(checkpoint.recipe).items():
        policy, setting = policy_of(key), key.removesuffix(".class_path")
        is_left_out = policy and policy.saved and key.partition(".")[0] not in parts
        is_known = any(hasattr(module, str(value)) for module in CLASSES)
        if key.endswith("class_path") and not is_known and not is_left_out:
            if request.get(setting) is None or setting not in settings:
                raise UsageError(
                    f"{checkpoint.path} names the class {shown(value)} for {setting}, which no checkpoint brings back: "
                    f"give it again by --config or --{setting}."
                )
            del settings[setting]
        if policy is None or not policy.saved:
            checkpoint.refuse(f"its config has a setting {shown(key)} that nothing here has")
    return settings


def refuse_conflicts(request: Namespace, checkpoint: Checkpoint, training: bool) -> None:
    """Refuse what was asked for on top of a checkpoint but cannot be had.

    Args:
        request: The parsed arguments, the checkpoint's recipe being their defaults.
        checkpoint: The checkpoint.
        training: Whether training goes on from it; its optimizer's settings and its split must then stay, within an
            epoch also what decides which batches are done.

    Raises:
        UsageError: If the request asks for another value of such a setting, or for another network, normalization or
            classes; or if it leaves nothing to train.
    """
    fixed = {"never"}
    if training:
        fixed |= {"evaluation", "between epochs"} if checkpoint.is_within_epoch else {"evaluation"}
    recipe, asked = dotted(checkpoint.recipe), dotted(recipe_of(request))
    added = [key for key in asked.keys() - recipe.keys() if key.endswith(".class_path")]  # where it has no class
    for key, saved in (recipe | dict.fromkeys(added)).items():
        wanted = asked.get(key)
        same_classes = key == "data.dataset" and DATASETS[request.data.dataset].classes == checkpoint.classes
        if (policy_of(key) or FREE).change in fixed and wanted != saved and not same_classes:
            flag = key.removesuffix(".class_path").replace(".init_args.", ".")
            raise UsageError(
                f"--{flag} {wanted} differs from {checkpoint.path}, which has {'none' if saved is None else saved}; "
                "leave out the flag, or the config file that sets it."
            )
    if not training:
        return
    if checkpoint.batches_done % request.model.steps_per_execution:
        raise UsageError(
            f"{checkpoint.path} was saved where --trainer.max_steps ended an execution of "
            f"{request.model.steps_per_execution} steps, and cannot be continued: name another checkpoint, or train "
            "with --model.steps_per_execution 1."
        )
    branches = not Run.of_checkpoint(checkpoint.path).continues_from(checkpoint.path)
    for unit, done in (("epochs", checkpoint.epochs), ("steps", checkpoint.steps)):
        limit = request.trainer[f"max_{unit}"]
        if limit is not None and 0 <= limit < done + branches:
            raise UsageError(
                f"--trainer.max_{unit} {limit} leaves nothing to train: {checkpoint.path} has {done} {unit}; "
                "ask for more."
            )


def refuse_forgotten(request: Namespace, checkpoint: Checkpoint, words: list[str]) -> None:
    """Refuse to go on without the callbacks or loggers of the run, unless it is said.

    Args:
        request: The parsed arguments of ``fit``.
        checkpoint: The checkpoint.
        words: The words of the request.

    Raises:
        UsageError: If the run had some, which no checkpoint brings back, and the request neither has nor refuses them.
    """
    run = Run.of_checkpoint(checkpoint.path)
    missing: dict[str, list[str]] = {}
    for name, classes in run.classes.items():
        flag, asked = f"--trainer.{name}", class_names(plain(request.trainer[name]))
        if f"{flag}=null" in words or (flag, "null") in pairwise(words):
            warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`")  # it is wanted so
        elif forgotten := [each for each in classes if each not in asked]:
            missing[flag] = forgotten
    if missing:
        raise UsageError(
            f"{run.path} was trained with {', '.join(chain(*missing.values()))}, which a checkpoint does not bring "
            f"back: put --config {command_line([str(run.path / 'config.yaml')])} first, or go on without by "
            f"{' '.join(f'{flag} null' for flag in missing)}."
        )


def refuse_with_several_steps(request: Namespace) -> None:
    """Refuse what Lightning cannot do when one of its batches holds several optimizer steps.

    Args:
        request: The parsed arguments of ``fit``.

    Raises:
        UsageError: If a flag counts Lightning's batches or belongs to its automatic optimization.
    """
    steps = request.model.steps_per_execution
    for name, allowed in PER_BATCH.items():
        value = request.trainer[name]
        if steps > 1 and (type(value), value) not in [(type(each), each) for each in allowed]:
            raise UsageError(
                f"--trainer.{name} {value} does not go with {steps} steps per execution: "
                "add --model.steps_per_execution 1."
            )


def refuse_impossible(request: Namespace) -> None:
    """Refuse what Lightning or torch would only fail at.

    Args:
        request: The parsed arguments of a subcommand.

    Raises:
        UsageError: If a count of the Trainer's is below 1, or the network does not fit into the memory.
    """
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
    # the layers that every network has: torch, which counts the others, does so up to 2**64 bytes only
    needed = BYTES_PER_WEIGHT * sum(
        fan_in * fan_out for fan_in, fan_out in pairwise([*model.hidden_units, model.num_classes])
    )
    if needed <= memory:
        with torch.device("meta"):  # shapes without memory
            network = build_network(model.network, model.hidden_units, model.num_classes)
        needed = sum(parameter.nbytes for parameter in network.parameters())
    if needed > memory:
        raise UsageError(
            f"--model.hidden_units {list(model.hidden_units)}: the weights take at least {needed / 1e9:,.0f} GB, "
            f"more than the {memory / 1e9:,.0f} GB of this machine's memory."
        )


def refuse_variables() -> None:
    """Refuse variables of the environment that Lightning reads and this command line, whose flags win, does not."""
    for name in os.environ:
        if name.startswith("PL_TRAINER_"):
            flag = f"--trainer.{name.removeprefix('PL_TRAINER_').lower()} {os.environ[name]}"
            raise UsageError(f"{name} is not read here: unset it, and use {flag}.")
