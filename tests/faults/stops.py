"""Callbacks that end a training: by a signal, a failure, a request to stop, or the loss of its folder."""

import shutil
import signal
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer


class Signal(Callback):
    """Sends this process a signal in the middle of an epoch."""

    def __init__(self, number: int, at: int) -> None:
        self.number = number
        self.at = at

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.at:
            signal.raise_signal(self.number)


class SignalEarly(Callback):
    """Sends this process a signal where Lightning handles it: before the first step, or in a test."""

    def __init__(self, number: int) -> None:
        self.number = number

    def on_train_start(self, *_: Any) -> None:
        signal.raise_signal(self.number)

    def on_test_start(self, *_: Any) -> None:
        signal.raise_signal(self.number)


class FailAt(Callback):
    """Breaks a run."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        assert trainer.global_step != self.at, "on purpose"


class StopAtNine(Callback):
    """Ends training after nine steps, as Lightning's Timer does when the time is over."""

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.global_step == 9


class StopAtSecondValidation(Callback):
    """Ends training at the validation in the middle of the second epoch, as early stopping may."""

    def on_validation_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.global_step == 9


class StopAtOnce(Callback):
    """Asks for the end from the first step on."""

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.should_stop = True


class Remove(Callback):
    """Removes the run's folder, as somebody may who thinks that it has ended."""

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.current_epoch == 1:
            shutil.rmtree(Path(trainer.default_root_dir) / "lightning_logs" / "version_0")
