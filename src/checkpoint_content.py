"""What a checkpoint of this project holds, so that nothing else is let in.

Whatever Lightning, torch and this program take for granted when they load one is compared with a fresh network,
optimizer and Trainer: the same keys, types, shapes, and finite numbers.
"""

import logging
import reprlib
import warnings
from collections.abc import Iterator
from dataclasses import fields
from inspect import signature
from math import inf, isfinite
from types import UnionType
from typing import Any, get_args

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Trainer
from packaging.version import InvalidVersion, Version
from torch import Tensor

from src.data.augment import Distortion
from src.data.datamodule import MNISTDataModule
from src.data.datasets import DATASETS
from src.model.classifier import Classifier
from src.model.networks import NetworkName
from src.recipe import CALLBACK_KEYS, LINKED, MID_EPOCH, NETWORK, TRAINER_KEYS

HALF = {"16-true": torch.float16, "bf16-true": torch.bfloat16}
LARGEST_LAYER = 1 << 31
LARGEST_NUMBER = 1 << 53
DEEPEST = 50
RECORDED, VALIDATED = {"epoch", "seconds", "train/loss", "train/acc"}, {"val/loss", "val/acc"}  # of an epoch
OFF: Any = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
OLDEST_LIGHTNING = Version("2.6")  # it changes what older checkpoints hold before it uses them
SCALERS = ("MixedPrecision", "native_amp_scaling_state")  # the state of 16-mixed, by its name and by its old one


def problems(checkpoint: Any, training: bool) -> Iterator[str]:
    """Yield what is wrong with a checkpoint, in words. Only the first can be had: each check relies on those before it.

    Args:
        checkpoint: What torch.load returned, on the CPU.
        training: Whether training goes on from it, which takes more than the network.
    """
    if _is_deep(checkpoint):
        yield "it holds values too deep in others"
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("config"), dict):
        yield "its config is missing"
    yield from _problems_of_settings(checkpoint["config"])
    for name, expected in _expected(checkpoint, training).items():
        found = checkpoint
        for step in name.split("."):
            found = found.get(step) if isinstance(found, dict) else None
        if found is None:
            yield f"its {name} is missing"
        yield from _differences(name, found, expected)
    match checkpoint["MNISTDataModule"]["mean_std"]:
        case None:
            pass
        case [float() as mean, float() as std] if isfinite(mean) and 0 < std < inf:
            pass
        case statistics:
            yield f"its MNISTDataModule.mean_std is {reprlib.repr(statistics)}"
    try:
        old = Version(checkpoint["pytorch-lightning_version"]) < OLDEST_LIGHTNING
    except InvalidVersion:
        old = True
    if old:
        yield f"its pytorch-lightning_version is {reprlib.repr(checkpoint['pytorch-lightning_version'])}"
    if training:
        yield from _problems_of_progress(checkpoint)


def _problems_of_settings(config: dict[str, Any]) -> Iterator[str]:
    """Only what a checkpoint is meant to set may be set by one: any other key could name code to import."""
    settings: dict[str, Any] = {}
    for part, value in config.items():
        if not isinstance(value, dict) and part not in ("seed_everything", "ema_decay"):
            yield f"its config has a setting {reprlib.repr(part)} that nothing here has"
        settings |= (
            {f"{part}.{name}": each for name, each in value.items()} if isinstance(value, dict) else {part: value}
        )
    distortion = settings.pop("data.distortion", None)
    if isinstance(distortion, dict):
        settings |= {f"data.distortion.{name}": each for name, each in distortion.items()}
    known = {"seed_everything", *CALLBACK_KEYS, *(f"trainer.{name}" for name in TRAINER_KEYS)}
    for part, kind in (("model", Classifier), ("data", MNISTDataModule)):
        known |= {f"{part}.{name}" for name in signature(kind).parameters} - set(LINKED)
    known |= {f"data.distortion.{field.name}" for field in fields(Distortion)}
    for name, value in settings.items():
        if name not in known:
            yield f"its config has a setting {reprlib.repr(name)} that nothing here has"
        for each in value if isinstance(value, list) else [value]:
            text = isinstance(each, str) and "\0" not in each  # which no file's name may have
            if not (each is None or isinstance(each, bool) or text or _is_number(each)):
                yield f"its config.{name} is {reprlib.repr(value)}"
    for name in (*NETWORK, *MID_EPOCH, "trainer.precision", "distillation.teacher"):
        if name not in settings:
            yield f"its config.{name} is missing"
    if not isinstance(distortion, dict):
        yield "its config.data.distortion is missing"
    if not (settings["ema_decay"] is None or _is_number(settings["ema_decay"])):
        yield f"its config.ema_decay is {reprlib.repr(settings['ema_decay'])}"
    for name in ("weight_decay", "warmup_steps"):
        if not _is_number(settings[f"model.{name}"]) or settings[f"model.{name}"] < 0:
            yield f"its config.model.{name} is {reprlib.repr(settings[f'model.{name}'])}"
    if not isinstance(settings["model.cosine"], bool):
        yield f"its config.model.cosine is {reprlib.repr(settings['model.cosine'])}"
    units = settings["model.hidden_units"]
    if not units or not isinstance(units, list) or not all(type(n) is int and 0 < n < LARGEST_LAYER for n in units):
        yield f"its config.model.hidden_units is {reprlib.repr(units)}"
    if settings["model.network"] not in get_args(NetworkName):
        yield f"its config.model.network is {reprlib.repr(settings['model.network'])}"
    if str(settings["data.dataset"]) not in DATASETS:
        yield f"its config.data.dataset is {reprlib.repr(settings['data.dataset'])}"


def _expected(checkpoint: dict[str, Any], training: bool) -> dict[str, Any]:
    """Return what the parts of a checkpoint must be like, as fresh ones are; a type stands for any value of it."""
    config = checkpoint["config"]
    classes = DATASETS[config["data"]["dataset"]].classes
    precision = str(config.get("trainer", {}).get("precision"))
    with torch.device("meta"):  # shapes without memory
        names = ("network", "hidden_units", "weight_decay", "warmup_steps", "cosine")
        model = Classifier(**{name: config["model"][name] for name in names}, num_classes=len(classes))
        if precision in ("64", "64-true"):
            model.double()
        elif precision in HALF:
            model.to(HALF[precision])
    trainer = _fresh_trainer()
    parts: dict[str, Any] = {
        "state_dict": model.state_dict(),
        "MNISTDataModule": {"normalization": str | list, "mean_std": list | None, "classes": list(classes)},
        "loops.validate_loop": trainer.validate_loop.state_dict(),
        "loops.test_loop": trainer.test_loop.state_dict(),
        "train_sums": {
            name: {key: _of_ranks(checkpoint, name, key, value[0]) for key, value in sums.items()}
            for name, sums in model.train_metrics.sums(world_size=1).items()
        },
        "callbacks": dict,
        "pytorch-lightning_version": str,
    }
    return {**parts, **_expected_of_training(checkpoint, model, trainer)} if training else parts


def _fresh_trainer() -> Trainer:
    """Return a Trainer that says nothing of this machine's devices and gives no tips."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings(action="ignore"):  # a GPU that is not used
            return Trainer(accelerator="cpu", devices=1, plugins=LightningEnvironment(), **OFF)
    finally:
        logging.disable(before)


def _expected_of_training(checkpoint: dict[str, Any], model: Classifier, trainer: Trainer) -> dict[str, Any]:
    configured: Any = model.configure_optimizers()
    optimizer = configured["optimizer"] if isinstance(configured, dict) else configured
    adam = optimizer.state_dict()
    schedules = []
    if isinstance(configured, dict):
        schedules = [configured["lr_scheduler"]["scheduler"].state_dict()]
        for name in ("_is_initial", "_get_lr_called_within_step"):
            if name in schedules[0]:
                schedules[0][name] = bool
    match checkpoint.get("optimizer_states"):
        case [{"state": {0: _}}]:  # it has none before the first step
            step = torch.empty((), dtype=torch.float32, device="meta")
            moments = [{"step": step, "exp_avg": weight, "exp_avg_sq": weight} for weight in model.parameters()]
            adam["state"] = dict(enumerate(moments))
    fit_loop = trainer.fit_loop.state_dict()
    fit_loop["state_dict"] = {"combined_loader": [{"batches_done": 0}]}
    for name in ("epoch_loop.batch_progress", "epoch_loop.val_loop.batch_progress"):
        fit_loop[name]["is_last_batch"] = bool
    return {
        "loops.fit_loop": fit_loop,
        "callbacks.History": {"epochs": list, "inherited": 0},
        "callbacks.Checkpoints": {"best_score": float},
        "optimizer_states": [adam],
        "lr_schedulers": schedules,
        "teacher_sha256": str,
        "epoch": 0,
        "global_step": 0,
        **(_expected_of_average(model) if checkpoint["config"]["ema_decay"] is not None else {}),
        **{name: torch.amp.GradScaler("cpu").state_dict() for name in SCALERS if name in checkpoint},
    }


def _expected_of_average(model: Classifier) -> dict[str, Any]:
    """Return what Lightning's EMAWeightAveraging adds: the weights that go on, ``state_dict`` being their average."""
    average = torch.optim.swa_utils.AveragedModel(model).state_dict()
    return {
        "current_model_state": model.state_dict(),
        "averaging_state": {
            name: torch.empty_like(value, device="meta")
            for name, value in average.items()
            if not name.startswith("module.")
        },
        "callbacks.EMAWeightAveraging": {"latest_update_step": 0},
    }


def _of_ranks(checkpoint: dict[str, Any], metric: str, key: str, value: Tensor) -> Tensor:
    """Return what a metric's state is like for as many ranks as the checkpoint has it of."""
    found = checkpoint.get("train_sums")
    for step in (metric, key):
        found = found.get(step) if isinstance(found, dict) else None
    ranks = len(found) if isinstance(found, Tensor) and found.dim() else 1
    return value.expand(ranks, *value.shape)


def _problems_of_progress(checkpoint: dict[str, Any]) -> Iterator[str]:
    epochs = checkpoint["callbacks"]["History"]["epochs"]
    for number, record in enumerate(epochs, start=1):
        names = set(record) if isinstance(record, dict) else set()
        whole = names >= RECORDED and len(VALIDATED & names) != 1 and all(isinstance(name, str) for name in names)
        if not whole or not all(map(_is_number, record.values())) or record["epoch"] != number:
            yield f"its callbacks.History.epochs has no record of epoch {number}"
    loop = checkpoint["loops"]["fit_loop"]
    progress = loop["epoch_progress"]["current"]
    automatic = loop["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"]
    manual = loop["epoch_loop.manual_optimization.optim_step_progress"]
    steps = sum(optimization["total"]["completed"] for optimization in (automatic, manual))
    counts = checkpoint["epoch"], len(epochs), checkpoint["global_step"]
    if counts != (progress["completed"], progress["processed"], steps):
        yield "its loops.fit_loop does not fit its epoch, global_step and callbacks.History.epochs"


def _differences(name: str, found: Any, expected: Any) -> Iterator[str]:
    """Yield how a value is unlike the expected one; numbers may be others, but not below 0."""
    match expected:
        case dict() if isinstance(found, dict):
            for key in expected:
                if key not in found:
                    yield f"its {name}.{key} is missing"
            for key, value in found.items():
                if key not in expected:
                    yield f"it has a {name}.{reprlib.repr(key)}, which fits nothing here"
                yield from _differences(f"{name}.{key}", value, expected[key])
        case list() | tuple() if isinstance(found, list | tuple) and len(found) == len(expected):
            for number, value in enumerate(found):
                yield from _differences(f"{name}.{number}", value, expected[number])
        case Tensor():
            yield from _differences_of_tensors(name, found, expected)
        case type() | UnionType():
            if not isinstance(found, expected):
                yield f"its {name} is of type {type(found).__name__}"
        case int() | float() if not isinstance(expected, bool):
            if not (_is_number(found) and found >= 0) or (isinstance(expected, int) and not isinstance(found, int)):
                yield f"its {name} is {reprlib.repr(found)}"
        case _:
            if type(found) is not type(expected) or found != expected:
                yield f"its {name} is {reprlib.repr(found)} instead of {reprlib.repr(expected)}"


def _differences_of_tensors(name: str, found: Any, expected: Tensor) -> Iterator[str]:
    layouts = [torch.contiguous_format, *([torch.channels_last] if expected.dim() == 4 else [])]
    if type(found) is not Tensor or found.layout != torch.strided or found.device.type != "cpu" or found.requires_grad:
        yield f"its {name} is no plain tensor"
    for what in ("shape", "dtype"):
        is_, should = getattr(found, what), getattr(expected, what)
        if is_ != should:
            is_, should = (tuple(each) if what == "shape" else each for each in (is_, should))
            yield f"its {name} has the {what} {is_} instead of {should}"
    if not any(found.is_contiguous(memory_format=layout) for layout in layouts):
        yield f"its {name} has values that share their memory"
    if not found.isfinite().all():
        yield f"its {name} has values that are no finite numbers"


def _is_deep(content: Any) -> bool:
    """Say whether copying and comparing would run into Python's limit."""
    waiting, seen = [(content, 0)], set()
    while waiting:
        part, depth = waiting.pop()
        if depth > DEEPEST:
            return True
        if id(part) not in seen:  # it may hold itself
            inner = part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ()
            waiting += [(each, depth + 1) for each in inner]
        seen.add(id(part))
    return False


def _is_number(value: Any) -> bool:
    return (type(value) is int and abs(value) <= LARGEST_NUMBER) or (type(value) is float and isfinite(value))
