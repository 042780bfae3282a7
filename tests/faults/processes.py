"""Processes that are forked, killed at a chosen call, or sent a signal when a step begins."""

import json
import os
import signal
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

Calls = Mapping[str, tuple[Any, str]]
"""What may be going on when a process dies: the owner and the name of the function just before whose call it does."""


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def fork(work: Callable[[], int], log: Path) -> int:
    """Start something in a forked process that ends with its exit code; return the process' number."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        code = work()
    finally:
        os._exit(code)


def in_child(work: Callable[[], int], log: Path) -> int:
    """Run something in a forked process and return its exit code, negative for the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(fork(work, log), 0)[1])


def watched(
    work: Callable[[], int], calls: Calls, counts: Path | None = None, kill: tuple[str, int] | None = None
) -> int:
    """Run something; write how often each call was made, or die just before the n-th of one kind."""
    seen: Counter[str] = Counter()

    def watch(name: str, owner: Any, function: str) -> None:
        original = getattr(owner, function)

        def counted(*args: Any, **kwargs: Any) -> Any:
            seen[name] += 1
            if kill == (name, seen[name]):
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        setattr(owner, function, counted)

    for name, (owner, function) in calls.items():
        watch(name, owner, function)
    code = work()
    if counts:
        counts.write_text(json.dumps(seen))
    return code


class Signal(Callback):
    """Sends one rank a signal, or kills it, when a step begins."""

    def __init__(self, number: int, at: int, rank: int) -> None:
        self.number = number
        self.at = at
        self.rank = rank

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if (trainer.global_step, trainer.global_rank) == (self.at, self.rank):
            os.kill(os.getpid(), self.number)


def signal_to(number: int, at: int, rank: int) -> list[str]:
    """Return the words that send a rank a signal when a step begins."""
    values = {"number": int(number), "at": at, "rank": rank}
    words = [f"--trainer.callbacks.{name}={value}" for name, value in values.items()]
    return ["--trainer.callbacks+=tests.faults.processes.Signal", *words]
