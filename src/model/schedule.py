"""The learning rate over the steps of a training."""

from math import cos, pi


def share_of_lr(step: int, warmup_steps: int, total_steps: float | None) -> float:
    """Return the factor of the learning rate for an optimizer step.

    Args:
        step: The step, counted from 0.
        warmup_steps: Over so many steps the factor rises linearly to 1.
        total_steps: From there it falls to 0 along half a cosine until this step (Loshchilov and Hutter 2017); None
            keeps it at 1.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if total_steps is None:
        return 1.0
    done = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return (1 + cos(pi * min(1.0, done))) / 2
