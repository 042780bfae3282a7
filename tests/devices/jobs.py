"""Jobs of several processes, what disturbs them, and what they must have left at their end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lightning.pytorch import Callback, Trainer

from tests.conftest import REPOSITORY
from tests.devices.study import QUIET, SIZES
from tests.training import checkpoint, results, run_folder, same_training

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
EPOCHS, STEPS, HELD = 4, 44, 14
CONFIGS = ["--config", "configs/mlp.yaml", "--config", "configs/ddp.yaml", "--model.steps_per_execution", "1"]


class Hold(Callback):
    """Notes each step, and waits once in the 14th until it is let go or asked to stop.

    Args:
        folder: Where ``steps`` is written to, and ``held`` when it begins to wait; both with the number of the task in
            an array. Something written into ``held`` lets it go.
    """

    def __init__(self, folder: str) -> None:
        task = os.environ.get("SLURM_ARRAY_TASK_ID", "")
        self.steps, self.held = Path(folder) / f"steps{task}", Path(folder) / f"held{task}"

    def on_train_batch_start(self, trainer: Trainer, *_: object) -> None:
        if not trainer.is_global_zero:
            return
        with self.steps.open("a") as file:
            file.write(f"{trainer.global_step}\n")
        if trainer.global_step == HELD - 1 and not self.held.exists():
            self.held.touch()
            watch = getattr(signal.getsignal(signal.SIGTERM), "__self__")  # noqa: B009 - of any callable
            while not (self.held.read_text() or watch.received):
                time.sleep(0.05)


def words_to_hold(folder: Path) -> list[str]:
    folder.mkdir()
    return ["--trainer.callbacks+=tests.devices.jobs.Hold", f"--trainer.callbacks.folder={folder}"]


def wait_for_file(path: Path, process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + 180
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path.name} after three minutes"
        assert process is None or process.poll() is None, end(process)
        time.sleep(0.05)


def fit(root: Path, digits: Path, *words: str) -> list[str]:
    place = ["--trainer.default_root_dir", str(root), "--data.data_dir", str(digits)]
    length = ["--trainer.max_epochs", str(EPOCHS), "--checkpoints.every_n_steps", "4"]
    return ["fit", *CONFIGS, *place, *SIZES, *QUIET, *length, *words]


def start(command: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=180)
    except subprocess.TimeoutExpired:
        process.terminate()
        out, err = process.communicate()
        pytest.fail(f"not ended after three minutes\n{out}\n{err}")
    return process.returncode, out, err


def assert_only_new_run_is(root: Path, undisturbed: Path, what: str) -> None:
    assert sorted(path.name for path in (root / "lightning_logs").iterdir()) == ["version_0", "version_1"], what
    run = run_folder(root, 1)
    assert same_training(checkpoint(run), checkpoint(undisturbed)), what
    assert results(run) == results(undisturbed), what
    assert checkpoint(run)["global_step"] == STEPS


def unavailable(message: str) -> None:
    """Skip a test for which something is not installed; where everything must run, fail."""
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
