"""The recipe, which is a run's settings: which of them a checkpoint keeps, and when each setting may change."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jsonargparse import Namespace
from torch import Tensor


@dataclass(frozen=True)
class Policy:
    """The rules for a setting.

    Attributes:
        change: When a command with ``--ckpt_path`` may change the checkpoint's value: ``always``; ``between epochs``,
            if the checkpoint ends an epoch; in ``evaluation`` only, because the training state depends on the value;
            ``never``, because the network depends on it.
        saved: Whether a checkpoint keeps it.
        shared: Whether all machines that train together must have the same value.
        names_classes: Whether its value is a class, by its import path, alone or with arguments.
        hparams: Whether TensorBoard's HParams shows it: ``yes``, unless it is null; ``on``, if it is neither zero nor
            empty; or ``no``.
    """

    change: Literal["always", "between epochs", "evaluation", "never"] = "always"
    saved: bool = True
    shared: bool = True
    names_classes: bool = False
    hparams: Literal["yes", "on", "no"] = "no"


FREE = Policy()
# the third is the module of LightningCLI's ReduceLROnPlateau, which has an argument `monitor`
TORCH = (
    *("torch.optim", "torch.optim.lr_scheduler", "lightning.pytorch.cli"),
    *("torch.nn", "torch.nn.modules.loss", "torchmetrics.classification"),
)
NOT_SAVED = Policy(saved=False)  # follows from other settings, is code, or belongs to one command
# settings of the Trainer that change the training; all others only say where and how it is computed
TRAINER = (
    *("trainer.max_steps", "trainer.max_time", "trainer.min_epochs", "trainer.min_steps"),
    *("trainer.accumulate_grad_batches", "trainer.gradient_clip_val", "trainer.gradient_clip_algorithm"),
    *("trainer.precision", "trainer.limit_train_batches", "trainer.limit_val_batches"),
    "trainer.check_val_every_n_epoch",
)
# by key; a key that ends in a dot is a prefix
POLICIES = {
    "seed_everything": Policy("between epochs", hparams="yes"),
    "model.network": Policy("never", names_classes=True, hparams="yes"),
    "model.loss": Policy("evaluation", names_classes=True),
    "model.loss.": Policy("evaluation", hparams="on"),
    "model.metrics": Policy("between epochs", names_classes=True),
    "model.hidden_units": Policy("never", hparams="yes"),
    "model.dropout": Policy(hparams="yes"),
    "model.lr": Policy("evaluation", hparams="yes"),
    "model.weight_decay": Policy("evaluation", hparams="on"),
    "model.warmup_steps": Policy("evaluation", hparams="on"),
    "model.cosine": Policy("evaluation", hparams="on"),
    "model.steps_per_execution": Policy("evaluation"),
    "data.dataset": Policy("never", hparams="yes"),
    "data.data_dir": Policy(shared=False),
    "data.test_size": Policy("evaluation"),
    "data.batch_size": Policy("between epochs", hparams="yes"),
    "data.val_size": Policy("evaluation", hparams="yes"),
    "data.split": Policy("evaluation", hparams="yes"),
    "data.fold": Policy("evaluation", hparams="yes"),
    "data.folds": Policy("evaluation", hparams="yes"),
    "data.normalization": Policy("never", hparams="yes"),
    "data.deskew": Policy("never", hparams="on"),
    "data.memory_map": Policy(shared=False),
    "data.distortion.": Policy(hparams="on"),
    "inspection.": FREE,
    "checkpoints.monitor": Policy("evaluation"),
    "checkpoints.mode": Policy("evaluation"),
    "ema_decay": Policy("evaluation", hparams="on"),
    "optimizer": Policy("evaluation", names_classes=True),
    "optimizer.": Policy("evaluation", hparams="on"),
    "lr_scheduler": Policy("evaluation", names_classes=True),
    "lr_scheduler.": Policy("evaluation", hparams="on"),
    "lr_scheduler_interval": Policy("evaluation"),
    "distillation.": Policy(hparams="on"),
    "trainer.max_epochs": Policy(hparams="yes"),
    **dict.fromkeys(TRAINER, FREE),
    **dict.fromkeys(("checkpoints.", "model.compile", "model.cuda_graph", "data.image_size", "data.on_device"), FREE),
    "trainer.": NOT_SAVED,
    **dict.fromkeys(("model.seed", "data.seed", "data.steps_per_execution", "ckpt_path", "config"), NOT_SAVED),
}

# the behaviour of version 0.1.0, whose checkpoints and studies lack these settings
BEFORE = {
    "checkpoints.monitor": "val/acc",
    "checkpoints.mode": None,
    "data.deskew": False,
    "data.fold": None,
    "data.folds": None,
}
REPEATS = {"seed_everything": "seeds", "data.fold": "folds"}  # settings that only repeat a recipe


def repeated(recipes: Sequence[dict[str, Any]]) -> list[list[int]]:
    """Group the indices of dotted recipes that differ only in REPEATS; of equal recipes only the last is kept."""
    groups: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for number, recipe in enumerate(recipes):
        others = {key: value for key, value in recipe.items() if key not in REPEATS}
        groups[repr(sorted(others.items()))][repr([recipe.get(key) for key in REPEATS])] = number
    return [list(numbers.values()) for numbers in groups.values()]


def policy_of(key: str) -> Policy | None:
    """Return the policy of a setting by its dotted key; None if there is no such setting."""
    while key:
        parent = key.rpartition(".")[0]
        policy = POLICIES.get(key, POLICIES.get(f"{parent}."))
        if policy is not None:
            return policy
        key = parent
    return None


def recipe_of(request: Namespace) -> dict[str, Any]:
    """Return a request's settings that a checkpoint keeps, plain and nested as in a config."""
    recipe: dict[str, Any] = {}
    for key, value in dotted(plain(request)).items():
        policy = policy_of(key)
        if policy is not None and policy.saved:
            *parts, name = key.split(".")
            settings = recipe
            for part in parts:
                settings = settings.setdefault(part, {})
            settings[name] = value
    return recipe


def short_name(class_path: str) -> str:
    """Return the bare name of a class in TORCH, which a checkpoint may name; else the whole path."""
    module, _, name = class_path.rpartition(".")
    return name if module in TORCH else class_path


def plain(value: Any) -> Any:
    """Return a parsed value as plain Python, for JSON, YAML and checkpoints, with the short names of classes."""
    if isinstance(value, Namespace | dict):
        items = (vars(value) if isinstance(value, Namespace) else value).items()
        return {str(name): short_name(item) if name == "class_path" else plain(item) for name, item in items}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Tensor):
        return value.tolist()
    for kind in (int, float):
        if isinstance(value, kind) and not isinstance(value, bool):
            return kind(value)  # the parser's restricted numbers are classes of their own
    return value if value is None or isinstance(value, bool) else str(value)


def dotted(settings: dict[str, Any], prefix: str = "", whole_classes: bool = False) -> dict[str, Any]:
    """Return nested settings with dotted keys, as the parser names them; whole classes stay under one key."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        key = f"{prefix}{name}"
        is_nested = isinstance(value, dict) and not (whole_classes and "class_path" in value)
        flat |= dotted(value, f"{key}.", whole_classes) if is_nested else {key: value}
    return flat
