"""What a longer recipe adds to the plain one: distortion, weight decay, a schedule, averaged weights."""

from pathlib import Path
from typing import Any

import pytest
import torch

from src.data.augment import Distortion
from src.data.datamodule import MNISTDataModule
from src.model.classifier import Classifier
from tests.conftest import Cli
from tests.training import EPOCHS, SAVE, checkpoint, results, run_folder, same_training

STEPS = ["--model.weight_decay", "0.01", "--model.warmup_steps", "4", "--model.cosine", "true", "--ema_decay", "0.9"]
ALL = ["--data.distortion.rotation", "15", "--data.distortion.shift", "2", *STEPS]


@pytest.mark.parametrize("steps", ["1", "3"])
def test_a_run_with_everything_resumes_bit_for_bit(steps: str, cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS, *ALL, *SAVE, "--model.steps_per_execution", steps)
    answer = cli("fit", "--ckpt_path", str(tmp_path / "middle.ckpt"))

    whole, resumed = (checkpoint(run_folder(tmp_path, number)) for number in (0, 1))
    assert (answer.code, answer.err) == (0, "")
    assert same_training(whole, resumed)
    for name, weight in whole["current_model_state"].items():
        assert torch.equal(weight, resumed["current_model_state"][name])
    assert results(run_folder(tmp_path)) == results(run_folder(tmp_path, 1))


def test_the_averaged_weights_are_validated_and_saved(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS, "--ema_decay", "0.9")
    saved = checkpoint(run_folder(tmp_path))
    name = "net.linear1.weight"
    assert not torch.equal(saved["state_dict"][name], saved["current_model_state"][name])

    answer = cli("validate", "--ckpt_path", "last")
    assert answer.code == 0
    assert f"{results(run_folder(tmp_path))[-1]['val/acc']:.4f}" in answer.out


def test_the_average_is_that_of_the_weights_after_each_step(cli: Cli, tmp_path: Path) -> None:
    two = ["--trainer.max_steps", "2", "--trainer.max_epochs", "1"]
    cli("fit", *two, "--ema_decay", "0.75")
    cli("fit", "--trainer.max_steps", "1", "--trainer.max_epochs", "1")
    saved, first = checkpoint(run_folder(tmp_path)), checkpoint(run_folder(tmp_path, 1))

    for name, average in saved["state_dict"].items():  # it starts as the weights after the first step
        expected = 0.75 * first["state_dict"][name] + 0.25 * saved["current_model_state"][name]
        assert torch.allclose(average, expected, atol=1e-7)


@pytest.mark.parametrize("words", [["--ema_decay", "0.9"], ["--trainer.callbacks+=WeightAveraging"]])
def test_several_steps_at_once_average_as_single_steps_do(words: list[str], cli: Cli, tmp_path: Path) -> None:
    several = ["--model.steps_per_execution", "4", "--model.warmup_steps", "4", "--model.cosine", "true"]
    assert cli("fit", *EPOCHS, *words, *several[2:]).code == 0
    assert cli("fit", *EPOCHS, *words, *several).code == 0
    single, at_once = (checkpoint(run_folder(tmp_path, number)) for number in range(2))

    for part in ("state_dict", "current_model_state", "averaging_state"):
        for name, value in single[part].items():
            assert torch.equal(value, at_once[part][name]), name
    assert results(run_folder(tmp_path)) == results(run_folder(tmp_path, 1))


def test_the_learning_rate_warms_up_and_falls_to_nothing(cli: Cli, tmp_path: Path) -> None:
    rates = []

    def record(self: Classifier, *arguments: object) -> None:
        rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Classifier, "on_train_batch_start", record)
        cli("fit", *EPOCHS, "--model.lr", "0.01", "--model.warmup_steps", "4", "--model.cosine", "true")

    assert rates[:4] == pytest.approx([0.0025, 0.005, 0.0075, 0.01])
    assert rates[4] == pytest.approx(0.01)
    assert len(rates) == 18
    assert rates[11] == pytest.approx(0.005)  # half way from step 4 to step 18
    assert 0 < rates[-1] < 2e-4


def test_only_training_images_are_distorted_and_anew_in_every_epoch(digits: Path) -> None:
    flags: dict[str, Any] = {"data_dir": str(digits), "val_size": 60, "batch_size": 32}
    plain = MNISTDataModule(**flags)
    data = MNISTDataModule(**flags, distortion=Distortion(rotation=15, shift=2))
    for module in (plain, data):
        module.setup("fit")

    def first(module: MNISTDataModule, loader: str, epoch: int = 0) -> torch.Tensor:
        batches = getattr(module, loader)()
        if batches.sampler:
            batches.sampler.set_epoch(epoch)
        return module.on_after_batch_transfer(next(iter(batches)), 0).images

    assert torch.equal(first(data, "val_dataloader"), first(plain, "val_dataloader"))
    assert not torch.allclose(first(data, "train_dataloader"), first(plain, "train_dataloader"), atol=0.1)
    everything = MNISTDataModule(**{**flags, "batch_size": 170}, distortion=Distortion(rotation=15, shift=2))
    everything.setup("fit")
    ordered = []
    for epoch in (0, 1):
        batches = everything.train_dataloader()
        batches.sampler.set_epoch(epoch)
        batch = everything.on_after_batch_transfer(next(iter(batches)), 0)
        ordered.append(batch.images[batch.positions.argsort()])
    assert not torch.allclose(ordered[0], ordered[1], atol=0.1)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--ema_decay 1", "--ema_decay must be at least 0 and below 1"),
        ("--model.weight_decay -1", "--model.weight_decay must be at least 0"),
        ("--model.warmup_steps -1", "--model.warmup_steps must be at least 0"),
        ("--model.cosine true --trainer.max_epochs -1", "--model.cosine needs to know the end"),
        ("--data.distortion.rotation -5", "--data.distortion.rotation must be between 0 and 180"),
        ("--data.distortion.twist 5", "--data.distortion.twist"),
    ],
)
def test_impossible_recipes_are_refused_by_name(cli: Cli, tmp_path: Path, flags: str, message: str) -> None:
    answer = cli("fit", *flags.split())

    assert answer.code == 2
    assert message in answer.err
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "lightning_logs").exists()


@pytest.mark.parametrize("flags", ["--ema_decay 0.5", "--model.cosine true", "--model.weight_decay 0.1"])
def test_a_resumed_run_keeps_its_recipe(cli: Cli, tmp_path: Path, flags: str) -> None:
    cli("fit", *EPOCHS)
    answer = cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "4", *flags.split())

    assert answer.code == 2
    assert f"{flags.title() if 'true' in flags else flags} differs from".lower() in answer.err.lower()
