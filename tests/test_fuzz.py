"""A few of the files of benchmarks/fuzz.py, others in each run."""

import random
from pathlib import Path

import pytest

from benchmarks import fuzz
from src.common.errors import RunError, UsageError

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("reader", "inputs"), [("IDX file", 1_000), ("config", 60), ("checkpoint", 40), ("note", 150), ("picture", 150)]
)
def test_every_file_is_accepted_or_refused_in_a_sentence(
    reader: str, inputs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = random.SystemRandom().randrange(10**6)
    monkeypatch.chdir(tmp_path)
    found = fuzz.study(reader, inputs, number)

    assert found["failures"] == [], f"seed {number}"
    assert found["inputs"] >= inputs
    assert found["refused"] > 0
    assert found.get("accepted", 0) + found.get("used", 0) > 0


def takes_for_ever() -> None:
    while True:
        pass


def takes_all_memory() -> None:
    bytearray(2 * fuzz.BYTES)


def runs() -> None:
    fuzz.MARK.mkdir()


def says_nothing() -> None:
    raise UsageError("")


def says_too_much() -> None:
    raise RunError("a failure, which no file may be")


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (takes_for_ever, TimeoutError),
        (takes_all_memory, MemoryError),
        (runs, AssertionError),
        (says_nothing, AssertionError),
        (says_too_much, RunError),
    ],
)
def test_anything_else_is_found(
    read: object, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fuzz, "SECONDS", 0.1)
    with pytest.raises(error):
        fuzz.outcome(read)
