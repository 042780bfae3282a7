"""What a file may cost, and what may come of it."""

import contextlib
import re
import resource
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from src.cli.messages import OUT_OF_MEMORY, explain
from tests.faults.pickles import MARK

SECONDS, BYTES = 5, 500 * 10**6  # of the processor and of memory, for one file
LONGEST_SENTENCE = 2_000
largest = {"seconds": 0.0, "megabytes": 0.0}  # that a file has cost so far


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """Stop what takes too long, by the processor's clock, and refuse it too much memory; note what it took."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGPROF, stop)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    Path("/proc/self/clear_refs").write_text("5")  # so that VmHWM is this file's
    memory, started = status(), time.process_time()
    resource.setrlimit(resource.RLIMIT_AS, (memory["VmSize"] + BYTES, hard))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, before)
        largest["seconds"] = max(largest["seconds"], time.process_time() - started)
        largest["megabytes"] = max(largest["megabytes"], (status()["VmHWM"] - memory["VmRSS"]) / 10**6)


def status() -> dict[str, int]:
    """Return what this process has of memory, in bytes."""
    lines = re.findall(r"^(Vm\w+):\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return {name: 1024 * int(value) for name, value in lines}


def outcome(read: Callable[[], object]) -> str:
    """Read something: ``accepted``, ``refused`` in one sentence, or the exception that is neither."""
    try:
        with limits(), warnings.catch_warnings(action="ignore"):
            read()
    except Exception as error:
        told = explain(error)
        if told is None or told[1] != 2 or lacked_memory(error):
            raise
        check_sentence(told[0])
        return "refused"
    finally:
        assert not MARK.exists(), "code in the file ran"
    return "accepted"


def lacked_memory(error: BaseException | None) -> bool:
    """Say whether memory was refused: a request may be too large for a machine, but no file of some kilobytes is."""
    while error is not None:
        if isinstance(error, MemoryError) or re.search(OUT_OF_MEMORY, str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def check_sentence(text: str) -> None:
    """Make sure that a message is one line for people."""
    assert text.isprintable(), text
    assert 0 < len(text) <= LONGEST_SENTENCE
    assert not re.search(OUT_OF_MEMORY, text), text
