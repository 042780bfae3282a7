"""A checkpoint that version 0.1.0 wrote, of 784-4-10 after two epochs on the tests' small data."""

import shutil
from pathlib import Path

import pytest
import torch

from src.cli.main import main
from tests.conftest import Cli


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The checkpoint in a run folder of its own."""
    folder = tmp_path / "lightning_logs" / "version_0" / "checkpoints"
    folder.mkdir(parents=True)
    return Path(shutil.copy(Path(__file__).parents[1] / "faults" / "version_0_1_0.ckpt", folder / "last.ckpt"))


def test_it_is_evaluated(old: Path, cli: Cli, digits: Path) -> None:
    answer = cli("validate", "--ckpt_path", str(old), "--data.data_dir", str(digits))

    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("val/acc: 0.1667 - val/loss: 2.3009 - 10 of 60 right\n")  # as 0.1.0 said itself


def test_it_is_exported(old: Path, tmp_path: Path, digits: Path) -> None:
    file = tmp_path / "network.pt2"

    assert main(["export", "--ckpt_path", str(old), "--output", str(file), "--data_dir", str(digits)]) == 0
    logits, _ = torch.export.load(file).module()(torch.zeros(3, 28, 28, dtype=torch.uint8))
    assert logits.shape == (3, 10)


def test_its_training_goes_on(old: Path, cli: Cli, digits: Path) -> None:
    answer = cli("fit", "--ckpt_path", str(old), "--data.data_dir", str(digits), "--trainer.max_epochs", "4")

    assert (answer.code, answer.err) == (0, "")
    epochs = torch.load(old, weights_only=True)["callbacks"]["History"]["epochs"]
    assert [record["epoch"] for record in epochs] == [1, 2, 3, 4]
    assert epochs[3]["train/loss"] < epochs[2]["train/loss"] < epochs[1]["train/loss"]
