"""The scenarios are run once, in a process of their own: a process that has threads must not fork."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from tests.conftest import REPOSITORY, run_process
from tests.devices.jobs import fit
from tests.training import run_folder

Study = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def scenarios(tmp_path_factory: pytest.TempPathFactory, digits: Path, mnist: Path) -> Path:
    """The results, which the first of pytest's processes that needs them makes for all."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "scenarios"
    done = root / "done"
    with FileLock(f"{root}.lock"):
        if not done.exists():
            root.mkdir()
            run_scenarios(root, digits, mnist / "MNIST" / "raw")
            done.touch()
    return root


def run_scenarios(root: Path, digits: Path, mnist: Path) -> None:
    command = [sys.executable, "-m", "tests.devices.scenarios", str(root), str(digits), str(mnist)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def study(scenarios: Path) -> Study:
    """What a scenario found."""

    def load(name: str) -> dict[str, Any]:
        found: dict[str, Any] = torch.load(scenarios / f"{name}.pt", weights_only=True)
        assert "traceback" not in found, found["traceback"]
        return found

    return load


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """The run of two processes that Lightning started."""
    root = tmp_path_factory.mktemp("undisturbed")
    answer = run_process(*fit(root, digits, "--trainer.devices", "2"))

    assert (answer.code, answer.err) == (0, "")
    assert "Device   2 x cpu" in answer.out
    assert answer.out.count("Epoch 1/4") == 1
    return run_folder(root)


@pytest.fixture
def root(tmp_path: Path, undisturbed: Path) -> Path:
    """A folder that has a run already: an older one, of a job that looks like the ones here."""
    old = Path(shutil.copytree(undisturbed, tmp_path / "lightning_logs" / "version_0"))
    note = {"command": "fit", "torchrun": "another 1 1", "slurm": "cluster 7", "since": 0}
    (old / "job.json").write_text(json.dumps(note))
    return tmp_path
