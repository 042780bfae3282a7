"""The search space of a sweep: YAML with the keys of a config."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import NoneType
from typing import Any

import yaml
from optuna import Trial
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, distribution_to_json

from src.common.errors import UsageError, cause_of
from src.common.files import read_regular
from src.common.yaml_text import load_yaml

KINDS = {"log": (int, float), "float": (int, float), "int": (int,), "choice": (), "grid": ()}
LARGEST = 2**53  # whole numbers beyond are not exact as floats
SIMPLE = (bool, int, float, str, NoneType)  # types of the choices that Optuna stores
EXAMPLE = "{log: [1e-4, 1e-1]}"
Distribution = FloatDistribution | IntDistribution | CategoricalDistribution
Values = dict[str, Any]
"""The settings of a trial by key: numbers, booleans, None and text. A list is text, as a flag is."""


@dataclass(frozen=True)
class Space:
    """The keys that a sweep varies, and their values."""

    path: str  # the file, for messages
    keys: dict[str, Distribution]
    is_grid: bool  # every key is a grid, so that each combination is run once

    @property
    def combinations(self) -> list[Values]:
        """All combinations of a grid, shuffled so that the first few are not alike."""
        grid = {key: kind.choices for key, kind in self.keys.items() if isinstance(kind, CategoricalDistribution)}
        keys = sorted(grid)
        combinations = [dict(zip(keys, values, strict=True)) for values in product(*(grid[key] for key in keys))]
        random.Random(0).shuffle(combinations)
        return combinations

    def to_json(self) -> dict[str, Any]:
        """Return the space as plain values, to compare it with another space."""
        keys = {key: json.loads(distribution_to_json(values)) for key, values in sorted(self.keys.items())}
        return {"keys": keys, "is_grid": self.is_grid}

    def suggest(self, trial: Trial) -> Values:
        """Let Optuna choose the values of a trial."""
        values: Values = {}
        for key, kind in self.keys.items():
            if isinstance(kind, FloatDistribution):
                values[key] = trial.suggest_float(key, kind.low, kind.high, log=kind.log)
            elif isinstance(kind, IntDistribution):
                values[key] = trial.suggest_int(key, kind.low, kind.high)
            else:
                values[key] = trial.suggest_categorical(key, kind.choices)
        return values

    def check(self, parse: Callable[[list[str]], None]) -> None:
        """Let the parser of ``fit`` check the ends of each range and every choice; errors name the space's file."""
        ends = {
            key: kind.choices if isinstance(kind, CategoricalDistribution) else (kind.low, kind.high)
            for key, kind in self.keys.items()
        }
        first = {key: values[0] for key, values in ends.items()}  # a fold, for example, needs the number of folds
        for values in [{**first, key: value} for key in ends for value in ends[key]]:
            try:
                parse(flags(values))
            except UsageError as error:
                raise UsageError(f"--space {self.path}: {error}") from error


def flags(values: Values) -> list[str]:
    """Return the values of a trial as flags of ``fit``."""
    return [f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()]


def read_space(path: str) -> Space:
    """Read a search space."""
    try:
        content = load_yaml(read_regular(Path(path)).decode())
    except FileNotFoundError as error:
        raise UsageError(f"--space {path}: no such file; name one such as configs/sweep.yaml.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"--space {path} is not YAML: {cause_of(error)}") from error
    if not isinstance(content, dict) or not content:
        raise UsageError(f"--space {path} has no keys: write them as in configs/sweep.yaml.")
    keys = {str(key): _distribution(f"--space {path}: {key}", value) for key, value in content.items()}
    return Space(path, keys, all("grid" in value for value in content.values()))


def _distribution(name: str, value: Any) -> Distribution:
    """Return Optuna's distribution for the value of a key; messages begin with ``name``."""
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in KINDS:
        raise UsageError(f"{name} needs one of {', '.join(KINDS)}, such as {EXAMPLE}; got {value}.")
    kind, values = next(iter(value.items()))
    if not isinstance(values, list) or not values:
        raise UsageError(f"{name}: {kind} needs a list, such as {EXAMPLE}; got {values}.")
    if kind in ("choice", "grid"):
        choices = [value if isinstance(value, SIMPLE) else json.dumps(value, default=str) for value in values]
        if len(set(choices)) < len(choices):  # 1 and true and 1.0 are the same to Optuna
            raise UsageError(f"{name}: {kind} has a value twice: {values}.")
        return CategoricalDistribution(choices)
    if len(values) != 2 or not all(isinstance(end, KINDS[kind]) and not isinstance(end, bool) for end in values):
        numbers = "two whole numbers" if kind == "int" else "two numbers"
        raise UsageError(f"{name}: {kind} needs {numbers}, the lowest and the highest; got {values}.")
    low, high = values
    if max(abs(low), abs(high)) > LARGEST or not low < high:
        raise UsageError(f"{name}: the range {values} is upside down, empty or endless: the smaller number first.")
    if kind == "log" and low <= 0:
        raise UsageError(f"{name}: log needs numbers above 0, got {values}; use float.")
    return IntDistribution(low, high) if kind == "int" else FloatDistribution(low, high, log=kind == "log")
