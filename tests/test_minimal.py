"""examples/minimal.py is the recipe: it ends with fit's weights."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from tests.conftest import REPOSITORY, run_process

EPOCHS = 2
# with the matrix products that fit chooses for this processor
MINIMAL = """
import sys, warnings
import torch
from examples.minimal import main
from src.model.cpu import use_onednn
warnings.filterwarnings("ignore", message="The '.*_dataloader' does not have many workers")
use_onednn()
torch.save(main(int(sys.argv[1])).state_dict(), sys.argv[2])
"""


def test_it_ends_with_the_weights_of_fit_bit_for_bit(mnist: Path, tmp_path: Path) -> None:
    words = ["--config", "configs/mlp.yaml", "--model.steps_per_execution", "1", "--inspection.enabled", "false"]
    limits = ["--trainer.max_epochs", str(EPOCHS), "--trainer.accelerator", "cpu"]
    place = ["--trainer.default_root_dir", str(tmp_path)]
    assert run_process("fit", *words, *limits, *place).code == 0
    command = [sys.executable, "-c", MINIMAL, str(EPOCHS), str(tmp_path / "minimal.pt")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True)

    checkpoints = tmp_path / "lightning_logs" / "version_0" / "checkpoints"
    expected = torch.load(checkpoints / "last.ckpt", weights_only=True)["state_dict"].values()
    weights = torch.load(tmp_path / "minimal.pt", weights_only=True).values()
    for one, other in zip(expected, weights, strict=True):
        assert torch.equal(one, other)


def test_it_is_as_short_as_the_readme_says() -> None:
    lines = (REPOSITORY / "examples" / "minimal.py").read_text().splitlines()
    assert len([line for line in lines if line.strip() and not line.strip().startswith(('"""', "#"))]) <= 80
