"""The settings that a checkpoint may have: those of a request, and of a type that they can have."""

import reprlib
from collections.abc import Iterator
from dataclasses import fields
from inspect import signature
from typing import Any, get_args

from src.checkpoint.compare import is_number
from src.checkpoint.recipe import CALLBACK_KEYS, LINKED, MID_EPOCH, NETWORK, TRAINER_KEYS
from src.data.augment import Distortion
from src.data.datamodule import MNISTDataModule
from src.data.datasets import DATASETS
from src.model.classifier import Classifier
from src.model.networks import NetworkName

LARGEST_LAYER = 1 << 31


def problems_of_settings(config: dict[str, Any]) -> Iterator[str]:
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
            if not (each is None or isinstance(each, bool) or text or is_number(each)):
                yield f"its config.{name} is {reprlib.repr(value)}"
    for name in (*NETWORK, *MID_EPOCH, "trainer.precision", "distillation.teacher"):
        if name not in settings:
            yield f"its config.{name} is missing"
    if not isinstance(distortion, dict):
        yield "its config.data.distortion is missing"
    if not (settings["ema_decay"] is None or is_number(settings["ema_decay"])):
        yield f"its config.ema_decay is {reprlib.repr(settings['ema_decay'])}"
    for name in ("weight_decay", "warmup_steps"):
        if not is_number(settings[f"model.{name}"]) or settings[f"model.{name}"] < 0:
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
