"""Beside other programs, threads that wait do not spin."""

import os
import subprocess
import sys
import time
from itertools import chain, repeat
from pathlib import Path

import pytest

from src.common import system
from tests.conftest import REPOSITORY

CORES = os.cpu_count() or 1
POLICY, THREADS = "OMP_WAIT_POLICY", "OMP_NUM_THREADS"


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (POLICY, "GOMP_SPINCOUNT", THREADS):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("running", "mine", "policy"),
    [
        ([0, 0, 0], CORES, None),
        ([1, 1, 1], CORES, "passive"),
        ([4, 1, 0], CORES, None),  # for a moment
        ([1, 1, 1], CORES - 1, None),  # a core is left for each
        ([2, 2, 2], CORES - 1, "passive"),
    ],
)
def test_threads_wait_asleep_where_others_need_the_cores(
    running: list[int], mine: int, policy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = chain(running, repeat(running[-1]))
    monkeypatch.setattr(system, "others_running", lambda: next(looks))
    monkeypatch.setattr(system, "cores", lambda: mine)
    monkeypatch.setenv(POLICY, "")  # which is undone after the test
    monkeypatch.delenv(POLICY)
    system.yield_to_others()

    assert os.environ.get(POLICY) == policy


@pytest.mark.parametrize("name", [POLICY, "GOMP_SPINCOUNT", THREADS])
def test_what_a_person_has_set_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "others_running", lambda: 100)
    monkeypatch.setenv(name, "1")
    system.yield_to_others()

    assert os.environ.get(POLICY) == ("1" if name == POLICY else None)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing tells")
def test_a_program_that_runs_is_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            assert max(system.others_running() for _ in range(100)) >= 1
        finally:
            busy.kill()


@pytest.mark.parametrize("content", [None, "", "0.1 0.2 0.3\n", "0.1 0.2 0.3 many/99 7\n"])
def test_nobody_is_seen_where_nothing_tells(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "loadavg").write_text(content)
    monkeypatch.setattr(system, "Path", lambda _: tmp_path / "loadavg")

    assert system.others_running() == 0


def test_it_does_not_sleep_in_which_two_that_start_together_would_not_see_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(system, "others_running", lambda: 1)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it sleeps"))
    monkeypatch.setenv(POLICY, "")
    monkeypatch.delenv(POLICY)
    system.yield_to_others()


def test_it_is_decided_before_torch_reads_it() -> None:
    start = (REPOSITORY / "src" / "cli" / "__main__.py").read_text()
    code = "import sys; from src.common.system import yield_to_others; yield_to_others(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert start.index("yield_to_others()") < start.index("from src.cli.main")
    assert done.stdout == "False\n"
