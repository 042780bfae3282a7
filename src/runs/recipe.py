"""What a checkpoint remembers of the request that made it, as plain values."""

from typing import Any

from jsonargparse import Namespace

from src.model.networks import SETTINGS

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
# the callbacks' own settings
CALLBACK_KEYS = (
    "inspection.enabled",
    "inspection.every_n_epochs",
    "inspection.samples",
    "checkpoints.every_n_steps",
    "ema_decay",
    "distillation.teacher",
    "distillation.temperature",
    "distillation.weight",
)
# arguments of model and data that follow from the rest of the request
LINKED = ("data.seed", "data.steps_per_execution", "model.num_classes", "model.seed")
# what machines that train the same may each have otherwise
MACHINE = ("data.data_dir", "data.memory_map")
# what a network cannot do without
NETWORK = ("data.dataset", "data.normalization", *(f"model.{name}" for name in SETTINGS))
# what a training that goes on has in its optimizer and progress, and which images it has not seen
EPOCH_END = (
    "model.lr",
    "model.weight_decay",
    "model.warmup_steps",
    "model.cosine",
    "model.steps_per_execution",
    "data.val_size",
    "data.split",
    "ema_decay",
)
# within an epoch also which batches are done
MID_EPOCH = (*EPOCH_END, "data.batch_size", "seed_everything")


def recipe_of(request: Namespace) -> dict[str, Any]:
    """Return seed, model, data, our callbacks' and teacher's settings, and those of the Trainer that shape the result.

    Args:
        request: The parsed arguments of a subcommand.

    Returns:
        Nothing but dicts, lists, text, numbers, booleans and None, for JSON, YAML and checkpoints. What follows from
        the rest (``LINKED``) is left out.
    """
    return {
        "seed_everything": plain(request.seed_everything),
        "model": {name: value for name, value in plain(request.model).items() if f"model.{name}" not in LINKED},
        "data": {name: value for name, value in plain(request.data).items() if f"data.{name}" not in LINKED},
        "inspection": plain(request.inspection),
        "checkpoints": plain(request.checkpoints),
        "ema_decay": request.ema_decay,
        "distillation": plain(request.distillation),
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
