"""A mapped file that becomes shorter during training: the system ends the process, and nothing of the run is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from src.data.checks import TRAIN_IMAGES
from tests.conftest import REPOSITORY, run_process

pytestmark = pytest.mark.slow

SMALL = [
    "--data.val_size",
    "60",
    "--data.batch_size",
    "32",
    "--trainer.accelerator",
    "cpu",
    "--inspection.enabled=false",
]


def test_a_mapped_file_that_becomes_shorter_costs_nothing_that_was_trained(own_digits: Path, tmp_path: Path) -> None:
    images, last = own_digits / TRAIN_IMAGES, tmp_path / "lightning_logs" / "version_0" / "checkpoints" / "last.ckpt"
    place = ["--trainer.default_root_dir", str(tmp_path)]
    command = [sys.executable, "-m", "src.cli", "fit", "--data.data_dir", str(own_digits), "--data.memory_map", "true"]
    whole = images.read_bytes()
    with subprocess.Popen(
        [*command, *SMALL, *place, "--trainer.max_epochs", "100000"], cwd=REPOSITORY, stdout=subprocess.DEVNULL
    ) as training:
        while not last.exists() and training.poll() is None:
            time.sleep(0.05)
        os.truncate(images, 100)
        assert training.wait() == -signal.SIGBUS

    refused = run_process("fit", "--ckpt_path", str(last), *place)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert f"{images} is truncated" in refused.err
    images.write_bytes(whole)
    epochs = len(torch.load(last, weights_only=True)["callbacks"]["History"]["epochs"]) + 1
    done = run_process("fit", "--ckpt_path", str(last), *place, "--trainer.max_epochs", str(epochs))
    assert (done.code, done.err) == (0, "")
