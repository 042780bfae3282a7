"""Digits set upright: in training, in every use of the network afterwards, and nowhere else."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image
from torch import Tensor

from src.cli.main import main
from src.data.batches import Split
from src.data.checks import TEST_IMAGES
from src.data.datamodule import MNISTDataModule
from src.data.deskew import deskew, upright
from src.data.idx import read_idx
from src.digits.frame import read_digit
from src.export.formats import open_onnx, open_pt2
from src.export.html import open_html
from src.export.hub import load_folder
from src.model.classifier import Classifier
from src.predict import read
from src.runs.trained import Trained
from tests.conftest import Cli
from tests.training import EPOCHS, checkpoint, run_folder, same_training

ON = ["--data.deskew", "true"]


def bar(slope: float) -> Tensor:
    """A bar of three pixels that leans by so many pixels a row, ``(28, 28)`` uint8."""
    y, x = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    distance = (x - 14 - slope * (y - 13.5)).abs()
    return (255 * (2 - distance).clamp(0, 1) * ((y > 5) & (y < 22))).to(torch.uint8)


@pytest.mark.parametrize("slope", [-0.6, -0.2, 0.0, 0.3, 0.8])
def test_a_bar_that_leans_stands_upright(slope: float) -> None:
    once = deskew(bar(slope)[None])
    columns = (once[0] > 127).any(dim=0).sum()

    assert columns == (bar(0.0) > 127).any(dim=0).sum() == 3
    assert (deskew(once).float() - once.float()).abs().max() <= 8  # once more changes little


def test_what_is_flat_or_empty_or_upright_stays_and_others_do_not_matter(digits: Path) -> None:
    empty, flat, straight = torch.zeros(28, 28, dtype=torch.uint8), bar(0.0).t().contiguous(), bar(0.0)
    images = read_idx(digits / TEST_IMAGES)

    for image in (empty, flat, straight):
        assert torch.equal(deskew(image[None])[0], image)
    assert torch.equal(deskew(images)[7:8], deskew(images[7:8]))
    assert bar(1.5).float().sub(deskew(bar(1.5)[None])[0]).abs().mean() > 2
    assert (deskew(bar(1.5)[None])[0] > 127).any(dim=0).sum() > 6  # by one pixel a row, no further


@pytest.mark.parametrize("ground", [0, 90], ids=["all on black", "one on grey"])
def test_a_split_has_what_each_of_its_images_becomes(digits: Path, ground: int) -> None:
    images = read_idx(digits / TEST_IMAGES)[:20].clone()
    images[:3] = bar(0.5)
    images[3] = bar(0.5).clamp(min=ground)

    assert torch.equal(upright(Split(images, torch.zeros(20), torch.arange(20))).file_images, deskew(images))


@pytest.mark.parametrize("ground", [0, 100, 128, 200])
def test_a_ground_that_is_not_black_changes_nothing(ground: int) -> None:
    lit = (ground + bar(0.5).float() * (255 - ground) / 255).round().to(torch.uint8)[None]

    assert (deskew(lit).float() - deskew(bar(0.5)[None]).float()).abs().max() <= 255 / (255 - ground)
    assert not deskew(torch.full((1, 28, 28), ground, dtype=torch.uint8)).any()


def test_it_trains_resumes_and_reads_the_same_way(cli: Cli, tmp_path: Path, digits: Path) -> None:
    whole, parts, plain = (run_folder(tmp_path, number) for number in range(3))
    assert cli("fit", *EPOCHS, *ON, "--data.distortion.rotation", "8").code == 0
    assert cli("fit", *EPOCHS, *ON, "--data.distortion.rotation", "8", "--trainer.max_epochs", "2").code == 0
    assert cli("fit", *EPOCHS).code == 0
    answer = cli("fit", "--ckpt_path", str(parts), "--trainer.max_epochs", "3")
    trained, images = Trained.load(str(whole)), read_idx(digits / TEST_IMAGES)
    data = MNISTDataModule(data_dir=str(digits), val_size=60, deskew=True)
    data.setup("test")

    assert (answer.code, answer.err) == (0, "")
    assert same_training(checkpoint(whole), checkpoint(parts))
    seen = trained.network.network(data.normalize(data.splits["test"].images))
    assert torch.equal(trained.answer(images)[0], seen)
    assert not torch.equal(Trained.load(str(plain)).network.network(data.normalize(images)), seen)
    refused = cli("fit", "--ckpt_path", str(whole), "--trainer.max_epochs", "4", "--data.deskew", "false")
    assert refused.code == 2
    assert "--data.deskew False differs from" in refused.err
    assert cli("test", "--ckpt_path", str(whole)).code == 0


def test_it_is_inside_every_export_and_every_reading(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("fit", *EPOCHS, *ON).code == 0
    trained, images = (
        Trained.load(str(run_folder(tmp_path))),
        torch.stack([bar(0.5), bar(-0.3), bar(0.2).clamp(min=77)]),
    )
    expected = trained.answer(images)[1]
    opened = {"a.onnx": open_onnx, "a.pt2": open_pt2, "a.html": open_html}
    for name in (*opened, "folder/"):
        words = ["--precision", "float32"] if name == "a.html" else []
        output = f"{tmp_path / name}{'/' * name.endswith('/')}"
        capsys.readouterr()
        assert main(["export", "--ckpt_path", str(run_folder(tmp_path)), "--output", output, *words]) == 0
        assert "Checked: all 70 test images" in capsys.readouterr().out, name
        network = opened[name](Path(output).read_bytes()) if name in opened else load_folder(output)
        assert torch.allclose(network(images)[1], expected, atol=1e-5), name
    picture = tmp_path / "bar.png"
    Image.fromarray(255 - bar(0.5).numpy()).resize((280, 280)).save(picture)
    (reading,) = read([picture], trained)

    assert reading.least_sure.confidence == pytest.approx(float(trained.answer(read_digit(picture)[None])[1].max()))


def test_a_teacher_must_see_the_same(cli: Cli, tmp_path: Path) -> None:
    assert cli("fit", *EPOCHS, *ON).code == 0
    answer = cli("fit", *EPOCHS, "--distillation.teacher", str(run_folder(tmp_path)))

    assert answer.code == 2
    assert "was trained with --data.deskew True: train the student with the same" in answer.err


# what Lightning says to a Trainer without src.cli.main, which hides it
@pytest.mark.filterwarnings("ignore:.*srun.* command", "ignore:.*does not have many workers", "ignore:.*LeafSpec")
def test_a_notebooks_file_is_tested_on_the_same_pixels(cli: Cli, tmp_path: Path, digits: Path) -> None:
    data = MNISTDataModule(data_dir=str(digits), val_size=60, batch_size=32, deskew=True, normalization="standard")
    off: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer, path = Trainer(max_epochs=1, accelerator="cpu", **off), tmp_path / "mine.ckpt"
    model = Classifier(hidden_units=[8])
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(path)
    trainer.test(model, datamodule=data, verbose=False)
    loss = float(trainer.callback_metrics["test/loss"])
    answer = cli("test", "--ckpt_path", str(path))

    assert (answer.code, answer.err) == (0, "")
    assert f"test/loss: {loss:.4f}" in answer.out


def test_what_cannot_be_set_upright_is_refused(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *EPOCHS, *ON, "--data.memory_map", "true")

    assert answer.code == 2
    assert "--data.deskew is for grey images in memory: leave it out, or --data.memory_map" in answer.err
    assert not (tmp_path / "lightning_logs").exists()
