"""Coloured pictures in folders through the commands that use a network, with each kind of network."""

import csv
import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.cli.main import main
from tests.images.conftest import NETWORKS, Fit
from tests.training import checkpoint, run_folder, same


@pytest.mark.parametrize("name", NETWORKS)
def test_every_command_takes_them(
    name: str, fit: Fit, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = NETWORKS[name]
    again = network if name == "own" else []
    short = [word.replace("--model.network", "--network") for word in again]
    assert fit(*network, "--trainer.max_epochs", "3") == 0
    assert fit(*network, "--trainer.max_epochs", "2") == 0
    assert fit("--ckpt_path", str(run_folder(tmp_path, 1)), *again, "--trainer.max_epochs", "3") == 0
    whole, resumed = checkpoint(run_folder(tmp_path)), checkpoint(run_folder(tmp_path, 1))
    assert all(same(whole[part], resumed[part]) for part in ("state_dict", "optimizer_states"))

    run = str(run_folder(tmp_path))
    for command in ("validate", "test"):
        assert main([command, "--ckpt_path", run, *again]) == 0
    assert json.loads((run_folder(tmp_path) / "test.json").read_text())["samples"] == 60
    for path in ("network.onnx", "network.pt2"):
        assert main(["export", "--ckpt_path", run, "--output", path, *short]) == 0
    assert (
        main(["predict", "--ckpt_path", run, "--images", str(pictures / "test"), "--sheet", "sheet.png", *short]) == 0
    )
    with (run_folder(tmp_path) / "predictions.csv").open(newline="") as file:
        answers = [(Path(row["path"]).parent.name, row["digit"]) for row in csv.DictReader(file)]
    right = sum(true == predicted for true, predicted in answers)
    assert (len(answers), right) == (60, json.loads((run_folder(tmp_path) / "test.json").read_text())["correct"])
    assert capsys.readouterr().err == ""
    events = EventAccumulator(run).Reload()
    assert {"weights/first_layer", "val/worst_mistakes", "test/confusion"} <= {*events.Tags()["images"]}
    assert (run_folder(tmp_path) / "projector" / "val" / "images.png").exists()


def test_a_checkpoint_never_imports_the_class_that_it_names(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(*NETWORKS["own"], "--trainer.max_epochs", "1", "--inspection.enabled", "false") == 0
    capsys.readouterr()

    for command in (["fit", "--ckpt_path", "last"], ["test", "--ckpt_path", "best"]):
        assert main(command) == 2
        assert (
            "names the class 'tests.pictures.OwnNetwork' for model.network, which no checkpoint brings back: put "
            "--config lightning_logs/version_0/config.yaml first" in (capsys.readouterr().err)
        )
    assert main(["export", "--ckpt_path", "best", "--output", "x.pt2"]) == 2
    assert "no checkpoint imports code: name it again with --network" in capsys.readouterr().err
    config = ["--config", "lightning_logs/version_0/config.yaml"]
    assert main(["test", "--ckpt_path", "best", *config]) == 0
    assert main(["fit", *config, "--ckpt_path", "last", "--trainer.max_epochs", "2"]) == 0
    other = ["--network", "tests.pictures.OwnNetwork", "--network.width", "4"]
    assert main(["export", "--ckpt_path", "best", "--output", "x.pt2", *other]) == 2
    assert "does not fit the network of its settings" in capsys.readouterr().err


def test_what_is_for_digits_alone_says_so(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(*NETWORKS["mlp"], "--trainer.max_epochs", "1", "--inspection.enabled", "false") == 0
    capsys.readouterr()

    assert main(["serve", "--ckpt_path", "best"]) == 2
    err = capsys.readouterr().err
    assert "was trained on folder with 6 classes, blue disc to red square; serve needs a network for the ten" in err
    assert fit("--data.distortion.upstroke", "0.5") == 2
    assert "--data.distortion.upstroke is for the digit 1, and folder has none" in capsys.readouterr().err
