"""Read a checkpoint: nothing in it runs, and what does not fit is said before anything starts."""

import sys
import zipfile
from collections.abc import Iterator
from dataclasses import fields
from inspect import signature
from math import inf, isfinite
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from src.data.augment import Distortion
from src.data.datamodule import MNISTDataModule
from src.data.datasets import DATASETS
from src.errors import UsageError
from src.model.classifier import MLPClassifier
from src.recipe import CALLBACK_KEYS, LINKED, TRAINER_KEYS, dotted
from src.runs import find_checkpoint

PARTS: dict[str, Any] = {
    "state_dict": dict,
    "config.seed_everything": int,
    "config.model.hidden_units": list,
    "config.model.lr": int | float,
    "config.model.steps_per_execution": int,
    "config.data.dataset": str,
    "config.data.normalization": str | list,
    "config.data.val_size": int | float,
    "config.data.split": str,
    "config.data.batch_size": int,
    "config.trainer": dict,
    "MNISTDataModule.normalization": str | list,
    "loops.validate_loop": dict,
    "loops.test_loop": dict,
    "pytorch-lightning_version": str,
}
TRAINING_PARTS: dict[str, Any] = {
    "config.model.weight_decay": int | float,
    "config.model.warmup_steps": int,
    "config.model.cosine": bool,
    "callbacks.History.epochs": list,
    "callbacks.History.inherited": int,
    "optimizer_states": list,
    "lr_schedulers": list,
    "loops.fit_loop": dict,
    "epoch": int,
    "global_step": int,
}
MOMENTS = ("exp_avg", "exp_avg_sq")
DTYPES = {"64": torch.float64, "64-true": torch.float64, "16-true": torch.float16, "bf16-true": torch.bfloat16}
LARGEST_LAYER = 1 << 31


class DamagedCheckpointError(UsageError):
    """A file that is not as it was written, or never was a checkpoint."""


def read_request(request: str, root: Path, training: bool) -> tuple[Path, dict[str, Any]]:
    """Find and read the checkpoint that ``--ckpt_path`` asks for.

    When ``last``, or a run's folder, stands for a ``last.ckpt`` that is damaged, ``last.prev.ckpt`` takes its place
    and a line on stderr says so.

    Args:
        request: A checkpoint file, a run folder, ``best`` or ``last`` (of the newest run that has one).
        root: The folder that holds ``lightning_logs``.
        training: Whether training goes on from it: a run folder then stands for its last checkpoint instead of its
            best one, and the checkpoint must hold the state of the training too.

    Returns:
        The checkpoint's file, and its content on the CPU.

    Raises:
        UsageError: If there is none, or it is damaged, or it does not come from this project.
    """
    path = find_checkpoint(request, root, "last" if training else "best")
    previous = path.with_name("last.prev.ckpt")
    try:
        return path, read_checkpoint(path, training)
    except DamagedCheckpointError as error:
        if path.name != "last.ckpt" or path == Path(request) or not previous.is_file():
            raise
        checkpoint = read_checkpoint(previous, training)
        rank_zero_only(print)(f"warning: {error} Taking {previous}, the one before.", file=sys.stderr)
        return previous, checkpoint


def read_checkpoint(path: Path, training: bool) -> dict[str, Any]:
    """Read a checkpoint of this project without running any code that it may hold.

    Args:
        path: The checkpoint file.
        training: Whether it must hold the state of the training, not just the network.

    Returns:
        The checkpoint on the CPU.

    Raises:
        UsageError: If the file is damaged or does not come from this project, or its tensors are not those of the
            network that it describes.
        OSError: If the file cannot be read.
    """
    checkpoint = _load(path)
    problem = next(_problems(checkpoint, training), None)
    if problem:
        raise UsageError(f"{path} is not a checkpoint of this project: {problem}; name one that src.cli fit wrote.")
    content: dict[str, Any] = checkpoint
    return content


def _load(path: Path) -> Any:
    with path.open("rb") as file:
        try:
            part = zipfile.ZipFile(file).testzip()  # torch.load does not look at the checksums
            file.seek(0)
            if part is None:
                return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # torch and zipfile raise many types for the many ways a file can be damaged
            raise DamagedCheckpointError(
                f"{path} is not a readable checkpoint (damaged or not one at all): name another."
            ) from error
    raise DamagedCheckpointError(f"{path} is damaged (the checksum of its part {part} is wrong): name another.")


def _problems(checkpoint: Any, training: bool) -> Iterator[str]:
    """Yield what is wrong, in words; each check relies on those before it."""
    for name, kind in {**PARTS, **(TRAINING_PARTS if training else {})}.items():
        value = checkpoint
        for step in name.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if not isinstance(value, kind):
            yield f"its {name} is missing" if value is None else f"its {name} is of type {type(value).__name__}"
    yield from _problems_of_settings(checkpoint)
    with torch.device("meta"):  # shapes without memory
        config = checkpoint["config"]
        classes = len(DATASETS[config["data"]["dataset"]].classes)
        expected = MLPClassifier(config["model"]["hidden_units"], num_classes=classes).state_dict()
    dtype = DTYPES.get(str(config["trainer"].get("precision")), torch.float32)
    weights = {name: value.to(dtype) if value.is_floating_point() else value for name, value in expected.items()}
    yield from _differences(checkpoint["state_dict"], weights)
    if training:
        yield from _problems_of_training(checkpoint, weights)


def _problems_of_settings(checkpoint: dict[str, Any]) -> Iterator[str]:
    """Only what a checkpoint is meant to set may be set by one: any other key could name code to import."""
    config = checkpoint["config"]
    known = {"seed_everything", *CALLBACK_KEYS, *(f"trainer.{name}" for name in TRAINER_KEYS)}
    for part, kind in (("model", MLPClassifier), ("data", MNISTDataModule)):
        known |= {f"{part}.{name}" for name in signature(kind).parameters} - set(LINKED)
    known |= {f"data.distortion.{field.name}" for field in fields(Distortion)}
    unknown = [str(name) for name in dotted(config) if name not in known]
    if unknown:
        yield f"its config has a setting {unknown[0]} that nothing here has"
    units = config["model"]["hidden_units"]
    if not units or not all(type(size) is int and 0 < size < LARGEST_LAYER for size in units):
        yield f"its config.model.hidden_units is {units}"
    if config["data"]["dataset"] not in DATASETS:
        yield f"its config.data.dataset is {config['data']['dataset']}"
    match checkpoint["MNISTDataModule"].get("mean_std", "missing"):
        case None:
            pass
        case [float() as mean, float() as std] if isfinite(mean) and 0 < std < inf:
            pass
        case statistics:
            yield f"its MNISTDataModule.mean_std is {statistics}"


def _problems_of_training(checkpoint: dict[str, Any], weights: dict[str, Tensor]) -> Iterator[str]:
    for epoch in checkpoint["callbacks"]["History"]["epochs"]:
        record = epoch if isinstance(epoch, dict) else {}
        if not {"epoch", "seconds"} <= record.keys() or not all(isinstance(n, int | float) for n in record.values()):
            yield "its callbacks.History.epochs has something that is no record of an epoch"
    optimizers = checkpoint["optimizer_states"]
    if len(optimizers) != 1 or not _is_adam(optimizers[0], len(weights)):
        yield "its optimizer_states is not that of an Adam over the network's weights"
    states = optimizers[0]["state"]  # empty before the first step
    for number, (name, weight) in enumerate(weights.items()):
        state = states.get(number, {})
        moments = {f"{name}: {moment}": weight for moment in MOMENTS} if states else {}
        steps = {f"{name}: step": torch.empty((), device="meta")} if states else {}
        yield from _differences({f"{name}: {key}": value for key, value in state.items()}, {**moments, **steps})


def _is_adam(optimizer: Any, weights: int) -> bool:
    """Say whether an optimizer's state has the parts that torch's Adam needs, for this number of weight tensors."""
    match optimizer:
        case {
            "state": dict() as states,
            "param_groups": [{"params": numbers, "lr": float(), "betas": [float(), float()]}],
        }:
            return bool(numbers == list(range(weights))) and all(isinstance(state, dict) for state in states.values())
    return False


def _differences(found: dict[str, Any], expected: dict[str, Tensor]) -> Iterator[str]:
    for name in expected:
        if name not in found:
            yield f"{name} is missing"
    for name, value in found.items():
        if name not in expected:
            yield f"it has a {name}, which the network that its config describes has not"
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.device.type != "cpu":
            yield f"{name} is no plain tensor"
        for what in ("shape", "dtype"):
            is_, should = getattr(value, what), getattr(expected[name], what)
            if is_ != should:
                is_, should = (tuple(each) if what == "shape" else each for each in (is_, should))
                yield f"{name} has the {what} {is_} instead of {should}"
        if not value.isfinite().all():
            yield f"{name} has values that are no finite numbers"
