"""Another optimizer or schedule than the recipe's: ``--optimizer SGD --optimizer.lr 0.1``, in YAML likewise."""

from collections.abc import Callable
from inspect import signature
from typing import Any, Literal

import torch
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser, OptimizerCallable, ReduceLROnPlateau
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from src.common.errors import UsageError, cause_of
from src.model.classifier import Classifier

# the settings of the model that each of them replaces
REPLACED = {"optimizer": ("lr", "weight_decay"), "lr_scheduler": ("warmup_steps", "cosine")}
# jsonargparse knows two classes called ReduceLROnPlateau; Lightning's has the argument ``monitor``
SCHEDULE = Callable[[Optimizer], ReduceLROnPlateau] | Callable[[Optimizer], LRScheduler] | None
NEEDED = "name one that takes dense gradients of all parameters in one step without a closure, such as SGD"


def add_optimizer(parser: LightningArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument(
        "--optimizer",
        type=OptimizerCallable | None,
        help="A class of torch.optim in the place of Adam as Keras has it, with its arguments below it: --optimizer "
        "SGD --optimizer.lr 0.1 --optimizer.momentum 0.9. --model.lr and --model.weight_decay are then left out.",
    )
    parser.add_argument(
        "--lr_scheduler",
        type=SCHEDULE,
        help="A class of torch.optim.lr_scheduler, likewise: --lr_scheduler CosineAnnealingLR --lr_scheduler.T_max 10; "
        "ReduceLROnPlateau also takes the metric to watch, --lr_scheduler.monitor val/loss. --model.warmup_steps and "
        "--model.cosine are then left out.",
    )
    parser.add_argument(
        "--lr_scheduler_interval",
        type=Literal["epoch", "step"],
        default="epoch",
        help="Whether --lr_scheduler goes on after every epoch or after every optimizer step.",
    )


def refuse_optimizer(request: Namespace, instantiated: Namespace) -> None:
    """Refuse an optimizer or a schedule that fails at a step, or beside settings of the recipe that it replaces."""
    for flag, names in REPLACED.items():
        for name in names if request[flag] is not None else ():
            if request.model[name] != signature(Classifier).parameters[name].default:
                raise UsageError(
                    f"--{flag} {_name(request[flag])} takes the place of --model.{name} {request.model[name]}: "
                    "leave that out, or the config that sets it."
                )
    parameters = [nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2))]
    optimizer: torch.optim.Optimizer = torch.optim.SGD(parameters)
    try:
        if instantiated.optimizer is not None:
            flag, way_out = "optimizer", NEEDED
            optimizer = instantiated.optimizer(parameters)
            for parameter in parameters:
                parameter.grad = torch.ones_like(parameter)
            optimizer.step()
        if instantiated.lr_scheduler is not None:
            flag, way_out = "lr_scheduler", "mend its arguments, or name another"
            instantiated.lr_scheduler(optimizer)
    except Exception as error:  # whatever the class makes of its arguments
        name, cause = _name(request[flag]), cause_of(error)
        raise UsageError(f"--{flag} {name} cannot be used ({cause}): {way_out}.") from error


def give_optimizer(model: Classifier, instantiated: Namespace) -> None:
    """Let a model train with the optimizer and the schedule that were asked for."""
    model.make_optimizer, model.make_schedule = instantiated.optimizer, instantiated.lr_scheduler
    model.schedule_interval = instantiated.lr_scheduler_interval


def _name(requested: Any) -> str:
    return str(requested.class_path).rpartition(".")[2] if isinstance(requested, Namespace) else str(requested)
