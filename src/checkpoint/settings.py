"""The settings that a checkpoint may have: those of a request, and of a type that they can have."""

import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import fields
from inspect import signature
from typing import Any, Literal, get_args, get_origin, get_type_hints

from src.checkpoint.compare import is_number
from src.data.augment import Distortion
from src.data.datamodule import MNISTDataModule
from src.data.datasets import DATASETS
from src.model.classifier import Classifier
from src.runs.recipe import CALLBACK_KEYS, LINKED, MID_EPOCH, NETWORK, TRAINER_KEYS

LARGEST_LAYER = 1 << 31


def problems_of_settings(config: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a checkpoint's settings, in words.

    Only what a checkpoint is meant to set may be set by one: any other key could name code to import.

    Args:
        config: The request that made the checkpoint, as it says.
    """
    settings: dict[str, Any] = {}
    for part, value in config.items():  # as deep as settings are, and no deeper: these may hold themselves
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
        known |= {f"{part}.{name}" for name in signature(kind).parameters} - {*LINKED, "data.distortion"}
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
    for name, hint in get_type_hints(Classifier.__init__).items():
        value = settings.get(f"model.{name}")
        if f"model.{name}" in settings and not _is_of(hint, value):
            yield f"its config.model.{name} is {reprlib.repr(value)}"
    if str(settings["data.dataset"]) not in DATASETS:
        yield f"its config.data.dataset is {reprlib.repr(settings['data.dataset'])}"


def _is_of(hint: Any, value: Any) -> bool:
    """Say whether a value is of the type of one of the network's arguments."""
    if get_origin(hint) is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if get_origin(hint) is Sequence:  # of units
        return isinstance(value, list) and all(type(each) is int and 0 < each < LARGEST_LAYER for each in value)
    return is_number(value) if hint is float else type(value) is hint
