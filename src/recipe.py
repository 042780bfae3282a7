"""What a checkpoint remembers of the request that made it, as plain values."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from src.data.datasets import DATASETS
from src.errors import UsageError

# the Trainer's settings that decide what is learned, not where and how it is computed: a resumed run keeps them
TRAINER_KEYS = (
    "max_epochs",
    "max_steps",
    "max_time",
    "min_epochs",
    "min_steps",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "precision",
    "limit_train_batches",
    "limit_val_batches",
    "check_val_every_n_epoch",
)


def recipe_of(request: Namespace) -> dict[str, Any]:
    """Return seed, model, data and the Trainer's settings that shape the result.

    Args:
        request: The parsed arguments of a subcommand.

    Returns:
        Nothing but dicts, lists, text, numbers, booleans and None, for JSON, YAML and checkpoints. What follows from
        the rest (``data.seed``, ``model.num_classes``) is left out.
    """
    return {
        "seed_everything": plain(request.seed_everything),
        "model": {name: value for name, value in plain(request.model).items() if name != "num_classes"},
        "data": {name: value for name, value in plain(request.data).items() if name != "seed"},
        "trainer": {name: plain(request.trainer[name]) for name in TRAINER_KEYS},
    }


def plain(value: Any) -> Any:
    """Return a parsed value as plain Python."""
    if isinstance(value, Namespace):
        return {name: plain(item) for name, item in vars(value).items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    for kind in (int, float):
        if isinstance(value, kind) and not isinstance(value, bool):
            return kind(value)  # the parser's restricted numbers are classes of their own
    return value if value is None or isinstance(value, bool) else str(value)


def dotted(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings with dotted keys, as the parser names them."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= dotted(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def refuse_conflicts(request: Namespace, recipe: dict[str, Any], checkpoint: Path, training: bool) -> None:
    """Refuse what was asked for on top of a checkpoint but cannot be had, instead of ignoring it.

    Args:
        request: The parsed arguments, the checkpoint's recipe being their defaults.
        recipe: The checkpoint's recipe.
        checkpoint: The file, for the message.
        training: Whether training goes on, so that the optimizer's state is restored too.

    Raises:
        UsageError: If the request asks for another network, other classes, or another lr for a restored optimizer.
    """
    for key in ("data.dataset", "model.hidden_units", *(["model.lr"] if training else [])):
        asked, saved = plain(request[key]), dotted(recipe)[key]
        same_classes = key == "data.dataset" and DATASETS[asked].classes == DATASETS[saved].classes
        if asked != saved and not same_classes:
            raise UsageError(
                f"--{key} {asked} cannot be honoured: {checkpoint} has {saved}; "
                "leave out the flag, or the config file that sets it."
            )
