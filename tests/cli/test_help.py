"""What ``--help`` explains, and what ``--print_config`` prints."""

import re
from pathlib import Path

import pytest
import yaml

from src.cli.commands import NAMES
from src.cli.main import main
from src.cli.request import Request
from tests.conftest import Cli
from tests.training import run_folder

EXPLANATIONS = {
    "model.network": "mlp is the MLP, cnn has two",
    "model.hidden_units": "Units of each fully connected hidden layer",
    "model.dropout": "Probability with which",
    "model.lr": "Learning rate of Adam",
    "model.weight_decay": "Weight decay of AdamW",
    "model.warmup_steps": "Optimizer steps over which",
    "model.cosine": "Let the learning rate fall",
    "model.loss": "A class of torch.nn instead of",
    "model.metrics": "Classes of torchmetrics besides",
    "model.steps_per_execution": "Optimizer steps that run in one batch of Lightning's",
    "model.cuda_graph": "Run the steps of an execution as one CUDA graph",
    "data.dataset": "folder takes pictures",
    "data.data_dir": "The folder with the data",
    "data.image_size": "Height and width",
    "data.test_size": "How many pictures to test on",
    "data.batch_size": "Samples in a training batch",
    "data.val_size": "How many of the training images",
    "data.split": "``tail`` validates on the last",
    "data.fold": "Which fold validates",
    "data.folds": "How many folds of equal size",
    "data.memory_map": "Map the images from the disk",
    "data.on_device": "Keep the images in the training device's memory",
    "data.distortion.rotation": "In degrees",
    "data.distortion.scale": "Of width and height",
    "data.distortion.shear": "Sideways slant",
    "data.distortion.shift": "In pixels",
    "data.distortion.elastic": "How far a grid point",
    "data.distortion.upstroke": "The share of the images with label 1",
    "data.distortion.flip": "The share of the images that are mirrored",
    "data.normalization": "``unit`` divides pixels by 255",
    "data.deskew": "Set slanted digits, white on black, upright",
    "inspection.enabled": "Write pictures, PR curves",
    "inspection.every_n_epochs": "Write them also every so many epochs",
    "inspection.samples": "Images in the projector",
    "distillation.teacher": "The teacher's checkpoint file or run folder",
    "distillation.temperature": "Divisor of the teacher's and",
    "distillation.weight": "The teacher's share in the loss",
    "seed_everything": "Decides the initial weights",
    "ckpt_path": "A checkpoint file, a run folder",
    "model.compile": "Train with torch.compile",
    "optimizer": "A class of torch.optim",
    "lr_scheduler": "A class of torch.optim.lr_scheduler",
    "lr_scheduler_interval": "after every epoch or after every optimizer step",
    "ema_decay": "Decay per step",
}


@pytest.mark.parametrize("subcommand", ["fit", "validate", "test"])
def test_help_explains_every_own_option(subcommand: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([subcommand, "--help"])
    out = " ".join(capsys.readouterr().out.split())
    described = out[out.index("options:") :]

    assert stop.value.code == 0
    groups = "|".join({flag.partition(".")[0] for flag in EXPLANATIONS if "." in flag})
    flags = set(re.findall(rf"--((?:{groups})\.[\w.]+)[ ,]", described))
    # a group, which a file can set; and what has no group
    flags = flags - {"data.distortion"} | EXPLANATIONS.keys() - {flag for flag in EXPLANATIONS if "." in flag}
    assert {flag for flag in flags if not flag.endswith(".help")} == EXPLANATIONS.keys()
    for flag, words in EXPLANATIONS.items():
        assert re.search(rf"--{flag}[ ,][^()]*{words}", described), flag
    assert "--weights_only" not in described


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["test"]):
        with pytest.raises(SystemExit):
            main([*words, "--help"])
    out, _, of_test = capsys.readouterr().out.partition("usage: python -m src.cli [options] test")
    _, listed = out.split("Available subcommands:\n")

    assert [line.split()[0] for line in listed.splitlines()] == list(NAMES)
    assert max(map(len, listed.splitlines())) <= 80
    assert "COMMAND ..." in out
    assert "\ntest measures a checkpoint on the test images.\n" in of_test


def test_print_config_prints_the_whole_request(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--config", "configs/mlp.yaml", "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)

    assert config["model"]["hidden_units"] == [256]
    assert config["trainer"]["max_epochs"] == 10


@pytest.mark.parametrize("subcommand", ["fit", "validate", "test"])
def test_print_config_prints_what_a_checkpoint_brings(
    subcommand: str, cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli("fit", "--trainer.max_epochs", "1", "--model.hidden_units", "[7]", "--data.normalization", "standard")
    with pytest.raises(SystemExit) as stop:
        cli(subcommand, "--ckpt_path", "last", "--print_config", "--data.batch_size", "16")
    config = yaml.safe_load(capsys.readouterr().out)

    assert stop.value.code == 0
    assert config["model"]["hidden_units"] == [7]
    assert (config["data"]["normalization"], config["data"]["batch_size"]) == ("standard", 16)
    assert config["trainer"]["max_epochs"] == (1 if subcommand == "fit" else 10)
    assert [path.name for path in run_folder(tmp_path).glob("*.json")] == ["result.json"]


@pytest.mark.parametrize(
    ("words", "commands"),
    [
        (["fit", "--help"], {"fit"}),
        (["--help"], {"fit", "validate", "test"}),
        (["--config", "a.yaml", "fit"], {"fit", "validate", "test"}),
    ],
)
def test_a_request_that_begins_with_its_command_gets_that_parser_alone(words: list[str], commands: set[str]) -> None:
    request = Request.__new__(Request)
    request.words = words

    assert set(request.subcommands()) == commands
