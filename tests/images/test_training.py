"""Training on coloured pictures in folders, on one process and on two."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.cli.main import main
from tests.conftest import run_process
from tests.images.conftest import NETWORKS, Fit
from tests.pictures import CLASSES, draw_folder
from tests.training import checkpoint, run_folder, same


def test_arguments_of_ones_own_network_that_are_not_given_again_are_the_checkpoints(
    fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--model.network", "tests.pictures.OwnNetwork"]  # eight channels, unless it is told
    assert fit(*own, "--model.network.width", "6", "--trainer.max_epochs", "1", "--inspection.enabled", "false") == 0
    assert fit(*own, "--ckpt_path", "last", "--trainer.max_epochs", "2", "--inspection.enabled", "false") == 0
    assert main(["test", *own, "--ckpt_path", "best"]) == 0
    assert len(checkpoint(run_folder(tmp_path))["state_dict"]["net.head.weight"][0]) == 12
    capsys.readouterr()

    assert main(["test", *own, "--ckpt_path", "best", "--model.network.width", "8"]) == 2
    assert "--model.network.width 8 differs from" in capsys.readouterr().err
    other = ["--model.network", "tests.losses.Focal"]
    assert main(["test", *other, "--ckpt_path", "best"]) == 2
    assert "--model.network tests.losses.Focal differs from" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--ema_decay", "0.9"],
        ["--model.steps_per_execution", "2"],
        ["--data.distortion.rotation", "15", "--data.distortion.flip", "0.5"],
    ],
)
def test_normalization_over_the_batch_goes_on_bit_for_bit(words: list[str], fit: Fit, tmp_path: Path) -> None:
    words = [*NETWORKS["own"], *words, "--inspection.enabled", "false"]
    assert fit(*words, "--trainer.max_epochs", "3") == 0
    assert fit(*words, "--trainer.max_epochs", "2") == 0
    assert fit("--ckpt_path", "last", *NETWORKS["own"], "--trainer.max_epochs", "3") == 0
    whole, resumed = checkpoint(run_folder(tmp_path)), checkpoint(run_folder(tmp_path, 1))

    assert whole["state_dict"]["net.body.1.num_batches_tracked"] > 0
    assert same(whole["state_dict"], resumed["state_dict"])


def test_two_processes_have_the_same_running_means(pictures: Path, tmp_path: Path) -> None:
    """Each rank sees half of a batch; what is saved and validated is the first one's on both."""
    words = ["--data.dataset", "folder", "--data.data_dir", str(pictures), "--data.val_size", "0.2"]
    words += ["--data.batch_size", "32", *NETWORKS["own"], "--trainer.max_epochs", "3"]
    words += ["--inspection.enabled", "false", "--trainer.accelerator", "cpu", "--trainer.devices", "2"]
    root = ["--trainer.default_root_dir", str(tmp_path), "--trainer.callbacks+=tests.pictures.CompareBuffers"]
    answer = run_process("fit", *words, *root)
    assert (answer.code, answer.err) == (0, "")

    validated = run_process(
        "validate", "--ckpt_path", str(run_folder(tmp_path)), *NETWORKS["own"], "--trainer.accelerator", "cpu"
    )
    assert validated.code == 0
    best = json.loads((run_folder(tmp_path) / "result.json").read_text())["best"]
    again = json.loads((run_folder(tmp_path) / "validate.json").read_text())
    assert again["val/acc"] == best["val/acc"]


def test_colours_are_kept(fit: Fit, tmp_path: Path) -> None:
    """Classes that differ by their colour alone are learned."""
    assert (
        fit(*NETWORKS["own"], "--model.lr", "0.01", "--trainer.max_epochs", "12", "--inspection.enabled", "false") == 0
    )
    result = json.loads((run_folder(tmp_path) / "result.json").read_text())
    assert result["best"]["val/acc"] > 0.8


def test_other_images_than_the_networks_are_refused(
    fit: Fit, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(*NETWORKS["mlp"], "--trainer.max_epochs", "1", "--inspection.enabled", "false") == 0
    grey = tmp_path / "grey"
    for name in CLASSES:
        (grey / name).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(np.full((16, 16), 40 * number, np.uint8)).save(grey / name / f"{number}.png")
    capsys.readouterr()

    assert main(["test", "--ckpt_path", "best", "--data.data_dir", str(grey)]) == 2
    assert "has other images (16 x 16) than" in capsys.readouterr().err
    assert main(["test", "--ckpt_path", "best", "--data.dataset", "MNIST", "--data.data_dir", "null"]) == 2
    assert "--data.dataset MNIST differs from" in capsys.readouterr().err


def test_pictures_of_another_size_are_resized_for_a_checkpoint(fit: Fit, tmp_path: Path) -> None:
    assert fit(*NETWORKS["mlp"], "--trainer.max_epochs", "1", "--inspection.enabled", "false") == 0
    larger = draw_folder(tmp_path / "larger", train=3, test=2, side=24)

    assert main(["test", "--ckpt_path", "best", "--data.data_dir", str(larger)]) == 0
    assert json.loads((run_folder(tmp_path) / "test.json").read_text())["samples"] == 12


def test_running_means_that_are_not_finite_are_not_saved(fit: Fit, tmp_path: Path) -> None:
    spoil = "--trainer.callbacks+=tests.pictures.SpoilBuffers"
    assert fit(*NETWORKS["own"], "--trainer.max_epochs", "2", "--inspection.enabled", "false", spoil) == 1
    saved = checkpoint(run_folder(tmp_path))
    assert len(saved["callbacks"]["History"]["epochs"]) == 1
    assert saved["state_dict"]["net.body.1.running_mean"].isfinite().all()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--model.network.num_classes", "5"), "--model.network returns (2, 5) for 2 images, but there are 6 classes"),
        (("--data.dataset", "MNIST", "--data.data_dir", "null"), "--model.network cannot take images (2, 1, 28, 28)"),
    ],
)
@pytest.mark.usefixtures("mnist")
def test_a_network_that_does_not_fit_the_data_is_refused(
    words: tuple[str, ...], says: str, fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(*NETWORKS["own"], *words) == 2
    error = capsys.readouterr().err
    assert says in error and len(error.splitlines()) == 1
    assert not (tmp_path / "lightning_logs").exists()
