"""The argument parser: jsonargparse's, with messages for people."""

import difflib
import os
import re
from collections.abc import Collection
from itertools import pairwise
from math import prod
from typing import Any, NoReturn

from jsonargparse import Namespace
from jsonargparse.typing import restricted_number_type
from lightning.pytorch.cli import LightningArgumentParser

from src.data.pairs import IMAGE_SHAPE
from src.errors import UsageError

Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)], docstring="A whole number below 2**32.")
AT_LEAST_ONE = ("accumulate_grad_batches", "check_val_every_n_epoch")  # Lightning divides by these unchecked
BYTES_PER_WEIGHT = 4

# what jsonargparse says -> what a person needs
REWORDINGS = (
    (r"\(choose from (.*)\)", r"(choose from \1, 'predict', 'export', 'serve', 'data')"),
    (r'Parser key "([\w.]+)":', r"--\1:"),
    (r"the following arguments are required: (\w+).*", r"--\1 is missing; see --help."),
    (r"<class '(?:\w+\.)*(\w+)'>", r"\1"),
    (r"- Expected a path but .* either not accessible or invalid - ", ""),
    (r"Expected a Sequence", r"Expected a list such as [256]"),
    (r"Expected a typing\.Literal(\[.*?\])", r"Expected one of \1"),
    (r"Not of type Seed: .*", r"Expected a whole number from 0 to 4294967295."),
    (r"Does not validate .* Subtypes: \[(.*)\] Errors: .* Given value: (.*)", r"\2 is not one of \1."),
    (r"typing\.(Literal|Union)", ""),
    (r"\b(lightning|collections|src)\.[\w.]*\.(\w+)", r"\2"),
    (r"\b(a |an )?int\b", "a whole number"),
    (r"\b(a |an )?float\b", "a number"),
    (r"\bNone(Type)?\b", "null"),
)
# what these settings are called in Keras
KERAS = {"epochs": "trainer.max_epochs", "validation_split": "data.val_size", "learning_rate": "model.lr"}


class ParserError(UsageError):
    """A request in the words of jsonargparse, which explain_parser_message puts into ours."""


class Parser(LightningArgumentParser):
    """Reports a mistake as an exception, so that main() prints it in one sentence instead of a page of usage."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise ParserError."""
        raise ParserError(message) from ex

    def parse_path(self, cfg_path: Any, *args: Any, **kwargs: Any) -> Namespace:
        """Read a config, and name it in what is wrong with it.

        Raises:
            UsageError: If it is not text, or not YAML, or has no settings.
        """
        try:
            config: Namespace = super().parse_path(cfg_path, *args, **kwargs)
        except UnicodeDecodeError as error:
            raise UsageError(f"--config {cfg_path} is not UTF-8 text ({error.reason}): save it as UTF-8.") from error
        except ParserError as error:
            if str(error).startswith("Unexpected config"):
                raise UsageError(f"--config {cfg_path} has no settings: write them as in configs/mlp.yaml.") from error
            raise ParserError(str(error).replace("Problems parsing config", f"--config {cfg_path}", 1)) from error
        return config


def explain_parser_message(message: str, keys: Collection[str]) -> str:
    """Turn a message of the argument parser into a sentence, with the nearest valid name for an unknown one.

    Args:
        message: What the parser says.
        keys: All keys that it knows, dotted.
    """
    message = " ".join(message.split())
    unknown = re.search(r"unrecognized arguments: --([\w.]+)|does not accept option '([\w.]+)'", message)
    if unknown:
        name = unknown[1] or unknown[2]
        known = nearest(name, keys)
        return f"--{name} is not known" + (f"; did you mean --{known}?" if known else "; see --help.")
    for pattern, replacement in REWORDINGS:
        message = re.sub(pattern, replacement, message)
    return message


def nearest(name: str, keys: Collection[str]) -> str | None:
    """Return the key that was most likely meant, by its whole name or its last part; None if nothing is close."""
    if name in KERAS:
        return KERAS[name]
    parts = {key.rpartition(".")[2]: key for key in keys}
    close = difflib.get_close_matches(name, keys, n=1) or difflib.get_close_matches(name, parts, n=1, cutoff=0.7)
    return parts.get(close[0], close[0]) if close else None


def explain_trainer_message(message: str, names: Collection[str]) -> str:
    """Name the Trainer's argument that its message is about as the flag that it is.

    Args:
        message: What the Trainer says.
        names: Its arguments.
    """
    message = " ".join(message.split())
    named = next((word for word in re.findall(r"\w+", message) if word in names), None)
    return f"--trainer{'.' + named if named else ''}: {message}"


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
    if request.ema_decay is not None and not 0 <= request.ema_decay < 1:
        raise UsageError(f"--ema_decay must be at least 0 and below 1, got {request.ema_decay}.")
    sizes = [prod(IMAGE_SHAPE), *request.model.hidden_units, request.model.num_classes]
    needed = BYTES_PER_WEIGHT * sum(fan_in * fan_out for fan_in, fan_out in pairwise(sizes))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise UsageError(
            f"--model.hidden_units {sizes[1:-1]}: the weights take {needed / 1e9:,.0f} GB, "
            f"more than the {memory / 1e9:,.0f} GB of this machine's memory."
        )
