"""Learning-rate schedules: warm-up and cosine, and when a scheduler is stepped."""

from math import cos, inf, pi
from typing import Any

from lightning.pytorch import Trainer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from src.common.errors import UsageError


def share_of_lr(step: int, warmup_steps: int, total_steps: float | None) -> float:
    """Return the factor of the learning rate for an optimizer step.

    Args:
        step: The step, counted from 0.
        warmup_steps: Number of steps over which the factor rises linearly to 1.
        total_steps: The step at which the factor has fallen to 0 along half a cosine (Loshchilov and Hutter 2017);
            None keeps it at 1.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if total_steps is None:
        return 1.0
    done = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return (1 + cos(pi * min(1.0, done))) / 2


def total_steps(trainer: Trainer) -> float:
    """Return the number of optimizer steps of the whole training, which may be infinite."""
    steps = trainer.estimated_stepping_batches
    if trainer.lightning_module.automatic_optimization:
        return steps
    loader: Any = trainer.train_dataloader  # Lightning counts its own batches, which hold several steps
    limits = (trainer.max_steps, (trainer.max_epochs or -1) * loader.batches)
    return min((limit for limit in limits if limit >= 0), default=inf)


def watches_metric(schedule: object) -> bool:
    """Say whether a scheduler takes a metric when it is stepped."""
    return isinstance(schedule, ReduceLROnPlateau)


def step_schedules(trainer: Trainer, interval: str, number: int) -> None:
    """Step the schedulers that are due; a scheduler that monitors a metric gets the metric's newest value.

    Args:
        trainer: The Trainer with the schedulers.
        interval: ``step``, ``epoch``, or ``metric`` for schedulers that are stepped by an epoch's metric.
        number: How many steps of this epoch, or how many epochs, are done.
    """
    for config in trainer.lr_scheduler_configs:
        by_metric, metrics = watches_metric(config.scheduler), trainer.callback_metrics
        kind = "metric" if by_metric and config.interval == "epoch" else config.interval
        if kind != interval or number % config.frequency:
            continue
        if by_metric and config.monitor not in metrics:
            names = ", ".join(sorted(metrics)) or "none"
            raise UsageError(f"a scheduler's monitor: there is no metric {config.monitor}; the metrics are: {names}.")
        scheduler: Any = config.scheduler
        scheduler.step(*([metrics[str(config.monitor)]] if by_metric else []))
