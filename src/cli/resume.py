"""The settings that a checkpoint brings back, and refusals of requests that conflict with them."""

import re
import warnings
from collections.abc import Iterator
from copy import deepcopy
from functools import reduce
from itertools import chain, pairwise
from typing import Any

import torch
import torchmetrics.classification
from jsonargparse import Namespace

from src.cli.parser import present
from src.common.errors import UsageError
from src.common.system import command_line
from src.data.datamodule import MNISTDataModule
from src.data.datasets import DATASETS
from src.runs.archive import shown
from src.runs.checkpoint import Checkpoint
from src.runs.folder import Run, class_names
from src.runs.recipe import BEFORE, FREE, dotted, plain, policy_of, recipe_of

PLAIN = re.compile(r"[\w/]*")  # a word or a metric; the parser could read other text as YAML, and so as a class path
# modules in which a checkpoint's class names are looked up; a checkpoint never imports anything
MODULES = (torch.optim, torch.optim.lr_scheduler, torch.nn, torchmetrics.classification)


def settings_of(checkpoint: Checkpoint, request: Namespace, training: bool) -> dict[str, Any]:
    """Return the settings that a checkpoint brings back, nested as in a config.

    Classes of other packages are among them only if the request names them again. An evaluation needs only the model's
    and the data's settings.
    """
    recipe = present(checkpoint.recipe)
    for key in dotted(recipe):
        policy = policy_of(key)
        if policy is None or not policy.saved:
            checkpoint.refuse(f"its config has an unknown setting {shown(key)}")
    parts = recipe if training else ("model", "data")
    settings = deepcopy({part: recipe[part] for part in parts if part in recipe})
    for setting, value in dotted(settings, whole_classes=True).items():
        unknown = [name for name in names_of_classes(value, setting) if not is_known(name)]
        given = [*names_of_classes(plain(request.get(setting)), "")]
        if unknown and not given:
            config = next(Run.of_checkpoint(checkpoint.path).path.glob("config.yaml"), "CONFIG")
            raise UsageError(
                f"{checkpoint.path} names the class {shown(unknown[0])} for {setting}, which no checkpoint brings "
                f"back: put --config {command_line([str(config)])} first if you trust its source, or give it again by "
                f"--{setting}."
            )
        # the request has imported the classes that it names; the arguments that it leaves out are the checkpoint's
        if unknown and not (isinstance(value, dict) and {*unknown} <= {*given}):
            *groups, name = setting.split(".")
            del reduce(lambda group, key: group[key], groups, settings)[name]
    return settings


def names_of_classes(value: Any, setting: str) -> Iterator[str]:
    """Yield the class names in a setting, and each text in it that the parser could take for a class path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from [str(item)] if key == "class_path" else names_of_classes(item, setting)
    elif isinstance(value, list):
        for item in value:
            yield from names_of_classes(item, setting)
    elif isinstance(value, str) and (policy_of(setting) or FREE).names_classes and not PLAIN.fullmatch(value):
        yield value


def is_known(name: str) -> bool:
    """Say whether MODULES have a class of this bare name, for which nothing needs to be imported."""
    return "." not in name and any(hasattr(module, name) for module in MODULES)


def refuse_conflicts(request: Namespace, checkpoint: Checkpoint, training: bool) -> None:
    """Refuse requested settings that a checkpoint does not allow to change.

    A resumed training keeps the optimizer's settings and the split; within an epoch it also keeps its batches.
    """
    fixed = {"never"}
    if training:
        fixed |= {"evaluation", "between epochs"} if checkpoint.is_within_epoch else {"evaluation"}
    recipe, requested = BEFORE | dotted(checkpoint.recipe), dotted(recipe_of(request))
    added = [key for key in requested.keys() - recipe.keys() if key.endswith(".class_path")]  # classes it lacks
    for key, saved in (recipe | dict.fromkeys(added)).items():
        wanted = requested.get(key)
        family = DATASETS.get(request.data.dataset)  # the classes of other data sets are known once they are read
        same_classes = key == "data.dataset" and (family is None or family.classes == checkpoint.classes)
        if (policy_of(key) or FREE).change in fixed and wanted != saved and not same_classes:
            flag = key.removesuffix(".class_path").replace(".init_args.", ".")
            raise UsageError(
                f"--{flag} {wanted} differs from {checkpoint.path}, which has {'none' if saved is None else saved}; "
                "leave out the flag, or the config file that sets it."
            )
    if not training:
        return
    if checkpoint.batches_done % request.model.steps_per_execution:
        raise UsageError(
            f"{checkpoint.path} was saved where --trainer.max_steps ended an execution of "
            f"{request.model.steps_per_execution} steps, and cannot be resumed: name another checkpoint, or train "
            "with --model.steps_per_execution 1."
        )
    branches = not Run.of_checkpoint(checkpoint.path).continues_from(checkpoint.path)
    for unit, done in (("epochs", checkpoint.epochs), ("steps", checkpoint.steps)):
        limit = request.trainer[f"max_{unit}"]
        if limit is not None and 0 <= limit < done + branches:
            raise UsageError(
                f"--trainer.max_{unit} {limit} leaves nothing to train: {checkpoint.path} has {done} {unit}; "
                "ask for more."
            )


def refuse_other_images(checkpoint: Checkpoint, data: MNISTDataModule) -> None:
    """Refuse data whose classes or image shape differ from the checkpoint's."""
    for name, mark, given, saved in (
        ("classes", ", ", data.classes, checkpoint.classes),
        ("images", " x ", data.image_shape, checkpoint.image_shape),
    ):
        if given != saved:
            raise UsageError(
                f"--data.dataset {data.dataset} has other {name} ({mark.join(map(str, given))}) than {checkpoint.path} "
                f"was trained on ({mark.join(map(str, saved))}): name its data, or train anew."
            )


def refuse_forgotten(request: Namespace, checkpoint: Checkpoint, words: list[str]) -> None:
    """Refuse to resume without a run's callbacks and loggers, which no checkpoint brings back, unless set to null."""
    run = Run.of_checkpoint(checkpoint.path)
    missing: dict[str, list[str]] = {}
    for name, classes in run.classes.items():
        flag, requested = f"--trainer.{name}", class_names(plain(request.trainer[name]))
        if f"{flag}=null" in words or (flag, "null") in pairwise(words):
            warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`")  # the user chose this
        elif forgotten := [name for name in classes if name not in requested]:
            missing[flag] = forgotten
    if missing:
        raise UsageError(
            f"{run.path} was trained with {', '.join(chain(*missing.values()))}, which a checkpoint does not bring "
            f"back: put --config {command_line([str(run.path / 'config.yaml')])} first if you trust its source, "
            f"because it imports them, or resume without them by {' '.join(f'{flag} null' for flag in missing)}."
        )
