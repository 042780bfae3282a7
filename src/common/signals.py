"""Ctrl-C and SIGTERM as a request to stop after the current step."""

import os
import signal
import threading
from types import FrameType
from typing import Any

from src.common.errors import RunError

STOPS = (signal.SIGINT, signal.SIGTERM)


class StoppedError(RunError):
    """A signal has stopped the program, and the training is saved; ``way_on`` says how to resume it."""

    def __init__(self, number: int, way_on: str = "") -> None:
        super().__init__(f"Stopped by {signal.Signals(number).name}. {way_on}".rstrip())
        self.number = number
        self.exit_code = 128 + number  # as shells report it: 130 for Ctrl-C, 143 for SIGTERM


def signal_of(end: BaseException) -> int:
    """Return the number of the signal that an exception stands for, or 0.

    Where Lightning handles the signals itself, outside of training, it turns both into a SystemExit.
    """
    if isinstance(end, StoppedError):
        return end.number
    if any(kind.__name__ == "SIGTERMException" for kind in type(end).__mro__):  # Lightning's, not imported here
        return signal.SIGTERM
    is_interrupt = isinstance(end, KeyboardInterrupt) or (
        isinstance(end, SystemExit) and isinstance(end.__context__, KeyboardInterrupt)
    )
    return signal.SIGINT if is_interrupt else 0


class SignalWatch:
    """Remembers the first stop signal; a second one ends the process at once."""

    def __init__(self) -> None:
        self.received = 0  # the number of the first signal, or 0
        self._before: dict[int, Any] = {}

    def start(self) -> None:
        """Replace the signals' handlers; only a process's main thread can have handlers."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in STOPS}

    def stop(self) -> None:
        """Restore the handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            os.write(2, b"Ended at once, without saving.\n")
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.received = number
