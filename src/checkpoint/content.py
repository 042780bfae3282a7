"""What a checkpoint of this project holds, so that nothing else is let in.

Whatever Lightning, torch and this program take for granted when they load one is compared with a fresh network,
optimizer and Trainer: the same keys, types, shapes, and finite numbers.
"""

import logging
import reprlib
import warnings
from collections.abc import Iterator
from math import inf, isfinite
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Trainer
from packaging.version import InvalidVersion, Version
from torch import Tensor

from src.checkpoint.compare import differences, is_deep, is_number
from src.checkpoint.settings import problems_of_settings
from src.common.errors import UsageError
from src.data.datasets import DATASETS
from src.model.classifier import Classifier

HALF = {"16-true": torch.float16, "bf16-true": torch.bfloat16}
RECORDED, VALIDATED = {"epoch", "seconds", "train/loss", "train/acc"}, {"val/loss", "val/acc"}  # of an epoch
OFF: Any = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
OLDEST_LIGHTNING = Version("2.6")  # it changes what older checkpoints hold before it uses them
# what torch's schedulers remember of themselves, under names that it keeps to itself
WHERE_A_SCHEDULE_IS = ("_is_initial", "_get_lr_called_within_step")
SCALERS = ("MixedPrecision", "native_amp_scaling_state")  # the state of 16-mixed, by its name and by its old one


def problems(checkpoint: Any, training: bool) -> Iterator[str]:
    """Yield what is wrong with a checkpoint, in words. Only the first can be had: each check relies on those before it.

    Args:
        checkpoint: What torch.load returned, on the CPU.
        training: Whether training goes on from it, which takes more than the network.
    """
    if is_deep(checkpoint):
        yield "it holds values too deep in others"
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("config"), dict):
        yield "its config is missing"
    yield from problems_of_settings(checkpoint["config"])
    try:
        parts = _expected(checkpoint, training)
    except UsageError as error:
        yield f"its config cannot be used ({error})"
    for name, expected in parts.items():
        found = checkpoint
        for step in name.split("."):
            found = found.get(step) if isinstance(found, dict) else None
        if found is None:
            yield f"its {name} is missing"
        yield from differences(name, found, expected)
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


def _expected(checkpoint: dict[str, Any], training: bool) -> dict[str, Any]:
    """Return what the parts of a checkpoint must be like, as fresh ones are; a type stands for any value of it."""
    config = checkpoint["config"]
    classes = DATASETS[config["data"]["dataset"]].classes
    precision = str(config.get("trainer", {}).get("precision"))
    with torch.device("meta"):  # shapes without memory
        model = Classifier(**config["model"], num_classes=len(classes))
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
            if training or name in _sums_of(checkpoint)  # one that is new here is no reason against a network
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
        for name in WHERE_A_SCHEDULE_IS:
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


def _sums_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's sums of metrics, if they are what they must be."""
    sums = checkpoint.get("train_sums")
    return sums if isinstance(sums, dict) else {}


def _of_ranks(checkpoint: dict[str, Any], metric: str, key: str, value: Tensor) -> Tensor:
    """Return what a metric's state is like for as many ranks as the checkpoint has it of."""
    found = _sums_of(checkpoint).get(metric)
    found = found.get(key) if isinstance(found, dict) else None
    ranks = len(found) if isinstance(found, Tensor) and found.dim() else 1
    return value.expand(ranks, *value.shape)


def _problems_of_progress(checkpoint: dict[str, Any]) -> Iterator[str]:
    epochs = checkpoint["callbacks"]["History"]["epochs"]
    for number, record in enumerate(epochs, start=1):
        names = set(record) if isinstance(record, dict) else set()
        whole = names >= RECORDED and len(VALIDATED & names) != 1 and all(isinstance(name, str) for name in names)
        if not whole or not all(map(is_number, record.values())) or record["epoch"] != number:
            yield f"its callbacks.History.epochs has no record of epoch {number}"
    loop = checkpoint["loops"]["fit_loop"]
    progress = loop["epoch_progress"]["current"]
    automatic = loop["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"]
    manual = loop["epoch_loop.manual_optimization.optim_step_progress"]
    steps = sum(optimization["total"]["completed"] for optimization in (automatic, manual))
    counts = checkpoint["epoch"], len(epochs), checkpoint["global_step"]
    if counts != (progress["completed"], progress["processed"], steps):
        yield "its loops.fit_loop does not fit its epoch, global_step and callbacks.History.epochs"
