"""A training that does not end by itself."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture
def endless(tmp_path: Path, digits: Path) -> Iterator[subprocess.Popen[str]]:
    """A training in a process of its own, with its first epochs done."""
    words = ["--data.data_dir", str(digits), "--data.val_size", "60", "--trainer.default_root_dir", str(tmp_path)]
    command = [sys.executable, "-m", "src.cli", "fit", *words, "--data.batch_size", "32", "--trainer.max_epochs", "-1"]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("Epoch 2"):
        assert process.poll() is None
    yield process
    process.kill()
    process.communicate()
