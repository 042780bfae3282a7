"""A few of the files of benchmarks/fuzz, others in each run."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.fuzz import limits, study
from src.common.errors import RunError, UsageError
from tests.faults.pickles import MARK

INPUTS = {
    "IDX file": 300,
    "config": 40,
    "checkpoint": 25,
    "note": 80,
    "picture": 100,
    "pair of compressed IDX files": 60,
    "set of names": 20,
    "database of a study": 10,
}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("reader", study.READERS)
def test_every_file_is_accepted_or_refused_in_a_sentence(
    reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = random.SystemRandom().randrange(10**6)
    monkeypatch.chdir(tmp_path)
    found = study.study(reader, INPUTS[reader], number)

    assert found["failures"] == [], f"seed {number}"
    assert found["inputs"] >= INPUTS[reader]
    assert found["refused"] > 0
    assert found.get("accepted", 0) + found.get("used", 0) > 0


def takes_for_ever() -> None:
    while True:
        pass


def takes_all_memory() -> None:
    bytearray(2 * limits.BYTES)


def hides_that_memory_was_refused() -> None:
    try:
        bytearray(2 * limits.BYTES)
    except MemoryError as error:
        raise UsageError("the file is damaged.") from error


def runs() -> None:
    MARK.mkdir()


def says_nothing() -> None:
    raise UsageError("")


def says_too_much() -> None:
    raise RunError("a failure, which no file may be")


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (takes_for_ever, TimeoutError),
        (takes_all_memory, MemoryError),
        (hides_that_memory_was_refused, UsageError),
        (runs, AssertionError),
        (says_nothing, AssertionError),
        (says_too_much, RunError),
    ],
)
def test_anything_else_is_found(
    read: Callable[[], object], error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(limits, "SECONDS", 0.1)
    with pytest.raises(error):
        limits.outcome(read)
