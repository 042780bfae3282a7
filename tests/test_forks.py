"""A command in a fork ends as one that Python starts, and what goes wrong in it is seen."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import run_process

ENDINGS = """
import os, signal, time
from lightning.pytorch import Callback

class Killed(Callback):
    def on_train_start(self, *_):
        os.kill(os.getpid(), signal.SIGKILL)

class Terminated(Callback):
    def on_train_start(self, *_):
        signal.raise_signal(signal.SIGTERM)

class Broken(Callback):
    def on_train_batch_end(self, *_):
        raise KeyError("mine")

class Endless(Callback):
    def on_train_start(self, *_):
        time.sleep(600)
"""


@pytest.fixture
def words(tmp_path: Path, digits: Path) -> list[str]:
    (tmp_path / "endings.py").write_text(ENDINGS)
    data = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
    return ["fit", *data, "--trainer.accelerator", "cpu", "--trainer.max_epochs", "1", "--inspection.enabled", "false"]


@pytest.mark.parametrize(
    ("ending", "code", "says"),
    [
        ("Killed", -signal.SIGKILL, ""),
        ("Terminated", 143, "Stopped by SIGTERM."),
        ("Broken", 1, "Traceback (most recent call last):"),
        ("Unknown", 2, "error: --trainer.callbacks"),
    ],
)
def test_it_ends_as_a_process_of_its_own(ending: str, code: int, says: str, words: list[str], tmp_path: Path) -> None:
    answer = run_process(*words, f"--trainer.callbacks+=endings.{ending}", cwd=tmp_path)

    assert (answer.code, answer.err.startswith(says)) == (code, True), answer
    assert answer.err.endswith("KeyError: 'mine'\n") == (ending == "Broken")


def test_one_that_does_not_end_is_a_failure(words: list[str], tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run_process(*words, "--trainer.callbacks+=endings.Endless", cwd=tmp_path, timeout=2)

    assert run_process(*words, cwd=tmp_path).code == 0
