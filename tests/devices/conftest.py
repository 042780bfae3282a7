"""The scenarios are run once, in a process of their own: a process that has threads must not fork."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import REPOSITORY

Study = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def scenarios(tmp_path_factory: pytest.TempPathFactory, digits: Path, mnist: Path) -> Path:
    root = tmp_path_factory.mktemp("scenarios")
    command = [sys.executable, "-m", "tests.devices.scenarios", str(root), str(digits), str(mnist / "MNIST" / "raw")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def study(scenarios: Path) -> Study:
    """What a scenario found."""

    def load(name: str) -> dict[str, Any]:
        found: dict[str, Any] = torch.load(scenarios / f"{name}.pt", weights_only=True)
        assert "traceback" not in found, found["traceback"]
        return found

    return load
