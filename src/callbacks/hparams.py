"""The columns of a run in TensorBoard's HParams."""

from collections.abc import Collection
from typing import Any

from src.runs.recipe import dotted, policy_of


def hyperparameters(config: dict[str, Any], swept: Collection[str] = ()) -> dict[str, Any]:
    """Return the columns for a recipe; keys that a sweep varies are always among them.

    HParams shows five columns at first, by the alphabet, so the fewer the better.
    """
    settings = dotted(config)
    columns = {}
    for key, value in settings.items():
        policy = policy_of(key)
        has_teacher = not key.startswith("distillation.") or settings["distillation.teacher"]
        if key == "model.lr" and settings.get("optimizer.class_path"):  # which has an lr of its own
            continue
        shown = policy.hparams if policy else "no"
        is_on = (shown == "yes" and value is not None) or (shown == "on" and value and has_teacher)
        if is_on or key in swept:
            columns[column(key)] = value
    return columns


def column(key: str) -> str:
    """Return the name of a setting's column, such as ``lr`` for ``model.lr`` and ``distortion/shift``."""
    key = key.removesuffix(".class_path").replace(".init_args.", ".")
    name = key.removeprefix("model.").removeprefix("data.").replace(".", "/")
    return {"seed_everything": "seed", "trainer/max_epochs": "max_epochs"}.get(name, name)
