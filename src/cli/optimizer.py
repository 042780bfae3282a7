"""Other optimizers and schedulers than the model's own: ``--optimizer SGD --optimizer.lr 0.1``, in YAML likewise."""

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

# a flag -> the model's settings that it replaces
REPLACED = {"optimizer": ("lr", "weight_decay"), "lr_scheduler": ("warmup_steps", "cosine")}
# jsonargparse knows two classes called ReduceLROnPlateau; Lightning's has the argument ``monitor``
SCHEDULE = Callable[[Optimizer], ReduceLROnPlateau] | Callable[[Optimizer], LRScheduler] | None
NEEDED = "name one that takes dense gradients of all parameters in one step without a closure, such as SGD"


def add_optimizer(parser: LightningArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument(
        "--optimizer",
        type=OptimizerCallable | None,
        help="A class of torch.optim instead of Adam with Keras' defaults, and its arguments: --optimizer SGD "
        "--optimizer.lr 0.1 --optimizer.momentum 0.9. It replaces --model.lr and --model.weight_decay: leave them out.",
    )
    parser.add_argument(
        "--lr_scheduler",
        type=SCHEDULE,
        help="A class of torch.optim.lr_scheduler, likewise: --lr_scheduler CosineAnnealingLR --lr_scheduler.T_max 10; "
        "ReduceLROnPlateau also takes the metric to monitor, --lr_scheduler.monitor val/loss. It replaces "
        "--model.warmup_steps and --model.cosine: leave them out.",
    )
    parser.add_argument(
        "--lr_scheduler_interval",
        type=Literal["epoch", "step"],
        default="epoch",
        help="Whether --lr_scheduler is stepped after every epoch or after every optimizer step.",
    )


def refuse_optimizer(request: Namespace, instantiated: Namespace) -> None:
    """Refuse an optimizer or a scheduler that fails when tried, or that is given beside settings that it replaces."""
    for flag, names in REPLACED.items():
        for name in names if request[flag] is not None else ():
            if request.model[name] != signature(Classifier).parameters[name].default:
                instead = f", and give --{flag}.{name}" if name in ("lr", "weight_decay") else ""
                raise UsageError(
                    f"--{flag} {_name(request[flag])} takes the place of --model.{name} {request.model[name]}: "
                    f"leave that out, or the config that sets it{instead}."
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
    except Exception as error:  # whatever the class raises
        name, cause = _name(request[flag]), cause_of(error)
        raise UsageError(f"--{flag} {name} cannot be used ({cause}): {way_out}.") from error


def give_optimizer(model: Classifier, instantiated: Namespace) -> None:
    """Give a model the requested optimizer and scheduler."""
    model.make_optimizer, model.make_schedule = instantiated.optimizer, instantiated.lr_scheduler
    model.schedule_interval = instantiated.lr_scheduler_interval


def _name(requested: Any) -> str:
    return str(requested.class_path).rpartition(".")[2] if isinstance(requested, Namespace) else str(requested)
