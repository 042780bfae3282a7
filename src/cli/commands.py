"""The commands besides fit, validate and test: to remove a command, delete its line here and its folder."""

import re
from collections.abc import Collection
from inspect import signature

COMMANDS = {
    "predict": "reads pictures of digits",
    "export": "writes a network for other programs, or as a page for any browser",
    "serve": "a page to draw digits on",
    "sweep": "compares many fits",
    "data": "describes a data set and draws samples of it",
    "compare": "shows what differs between runs, and whether one of two is better",
    "runs": "lists the runs and what they reached",
}
EVERY = {
    "fit": "trains a network",
    "validate": "measures a checkpoint on the validation images",
    "test": "measures a checkpoint on the test images",
    **COMMANDS,
}
NAMES = tuple(EVERY)


def module_of(words: list[str]) -> str:
    """Return the module of a command; some commands run without Lightning, whose import takes seconds."""
    name = words[0] if words else ""
    return f"src.{name}" if name in COMMANDS and name not in ("sweep", "data") else "src.cli.fit"


def with_flags(sentence: str, flags: Collection[str] | None = None) -> str:
    """Turn arguments in backticks into flags, by default fit's; code that notebooks use too names no flags."""
    keys = flags_of_fit() if flags is None else flags

    def flag(match: re.Match[str]) -> str:
        name = match[1]
        key = name if "." in name else next((key for key in keys if key.rpartition(".")[2] == name), None)
        return f"--{key}" if key else match[0]

    return re.sub(r"`([\w.]+)`", flag, sentence)


def flags_of_fit() -> list[str]:
    """Return the flags of fit whose arguments src.data, src.model and src.runs name in messages."""
    from src.data.augment import Distortion
    from src.data.datamodule import MNISTDataModule
    from src.model.classifier import Classifier
    from src.model.distillation import Distillation

    groups = {"model": Classifier, "data": MNISTDataModule, "data.distortion": Distortion, "distillation": Distillation}
    return ["ckpt_path", *(f"{group}.{name}" for group, kind in groups.items() for name in signature(kind).parameters)]
