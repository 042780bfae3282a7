"""The settings of a run: later ones win, and its config and its checkpoints hold them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY, Cli
from tests.training import EPOCHS, checkpoint, run_folder, same_training


def test_a_runs_config_runs_it_again_to_the_same_weights(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS, "--seed_everything", "9", "--model.lr", "0.01", "--data.normalization", "standard")
    cli("fit", "--config", str(run_folder(tmp_path) / "config.yaml"))

    assert same_training(checkpoint(run_folder(tmp_path)), checkpoint(run_folder(tmp_path, 1)))


def test_every_checkpoint_loads_without_running_code_and_holds_plain_hyperparameters(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    for name in ("best", "last", "last.prev"):
        content = checkpoint(run_folder(tmp_path), name)
        assert content["hyper_parameters"] == {
            "network": "mlp",
            "hidden_units": [256],
            "dropout": 0.0,
            "lr": 0.001,
            "weight_decay": 0.0,
            "warmup_steps": 0,
            "cosine": False,
            "num_classes": 10,
            "image_shape": [28, 28],
            "compile": False,
            "steps_per_execution": 1,
            "cuda_graph": False,
            "seed": 42,
        }
        assert content["config"]["data"]["batch_size"] == 32


def test_later_configs_and_flags_win(cli: Cli, tmp_path: Path) -> None:
    for name, lr in (("a", 0.5), ("b", 0.25)):
        (tmp_path / f"{name}.yaml").write_text(f"model:\n  lr: {lr}\n  dropout: 0.1\n")
    configs = ["--config", str(tmp_path / "a.yaml"), "--config", str(tmp_path / "b.yaml")]
    cli("fit", "--trainer.max_epochs", "1", *configs, "--model.dropout", "0.2")
    config = yaml.safe_load((run_folder(tmp_path) / "config.yaml").read_text())

    assert config["model"]["lr"] == 0.25
    assert config["model"]["dropout"] == 0.2


@pytest.mark.slow
def test_a_config_comes_from_standard_input_too(tmp_path: Path) -> None:
    """What is no file is read as jsonargparse reads it."""
    done = subprocess.run(
        [sys.executable, "-m", "src.cli", "fit", "--config", "-", "--print_config"],
        input=b"model:\n  hidden_units: [7]\n",
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert re.search(rb"hidden_units:\s+- 7\s", done.stdout)
