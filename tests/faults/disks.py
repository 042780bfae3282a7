"""Disks that are full, or files that may not grow."""

import resource
from typing import Any

from lightning.pytorch import Callback, Trainer


def limit(size: int) -> None:
    """Let no file of this process grow beyond a size, as ``ulimit -f`` does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class Limit(Callback):
    """Does so when training has come to a hook of an epoch."""

    def __init__(self, hook: str, epoch: int, size: int) -> None:
        self.epoch = epoch
        self.size = size
        setattr(self, hook, self.start)

    def start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.current_epoch == self.epoch:
            limit(self.size)


def words_to_limit(hook: str, epoch: int, size: int) -> list[str]:
    """Return the words that let files grow no further from a hook of an epoch on."""
    values = {"hook": hook, "epoch": epoch, "size": size}
    words = [f"--trainer.callbacks.{name}={value}" for name, value in values.items()]
    return ["--trainer.callbacks+=tests.faults.disks.Limit", *words]
