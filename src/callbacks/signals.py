"""Ctrl-C and SIGTERM as a request that is met at the next boundary."""

import signal
import threading
from types import FrameType
from typing import Any

from src.errors import RunError

STOPS = (signal.SIGINT, signal.SIGTERM)


class StoppedError(RunError):
    """Training was asked to stop and did, with its state saved.

    Args:
        number: The signal's number.
        way_on: A sentence about going on.
    """

    def __init__(self, number: int, way_on: str) -> None:
        super().__init__(f"Stopped by {signal.Signals(number).name}. {way_on}")
        self.exit_code = 128 + number  # as shells report it: 130 for Ctrl-C, 143 for SIGTERM


class SignalWatch:
    """Remembers the first stop signal; a second one ends the process at once.

    Attributes:
        received: The number of the signal, or 0.
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def start(self) -> None:
        """Take over from the handlers of this process; only its main thread can have any."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in STOPS}

    def stop(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.received = number
