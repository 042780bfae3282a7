"""Training that goes on from a checkpoint: of the run's end, of its best epoch, or of the middle of an epoch."""

from pathlib import Path

import pytest
import torch
import yaml

from src.model.classifier import Classifier
from tests.conftest import Cli, run_process
from tests.training import (
    BATCHES,
    EPOCHS,
    METRICS,
    SAVE,
    checkpoint,
    curves,
    recorded,
    results,
    run_folder,
    same_training,
)


@pytest.mark.parametrize("flags", ["", "--trainer.limit_train_batches 3", "--trainer.limit_train_batches 1"])
def test_a_resumed_run_equals_the_uninterrupted_one(cli: Cli, tmp_path: Path, flags: str) -> None:
    cli("fit", "--trainer.max_epochs", "5", *flags.split())
    cli("fit", "--trainer.max_epochs", "2", *flags.split())
    place = ["--trainer.default_root_dir", str(tmp_path), "--trainer.accelerator", "cpu"]
    answer = run_process("fit", "--ckpt_path", "last", "--trainer.max_epochs", "5", *place)
    whole, resumed = run_folder(tmp_path, 0), run_folder(tmp_path, 1)

    assert (answer.code, answer.err) == (0, "")
    assert len(list((tmp_path / "lightning_logs").iterdir())) == 2
    assert same_training(checkpoint(whole), checkpoint(resumed))
    assert results(whole) == results(resumed)
    for name in METRICS:
        assert curves(resumed)[name] == curves(whole)[name]
    assert yaml.safe_load((resumed / "config.yaml").read_text())["trainer"]["max_epochs"] == 5
    assert yaml.safe_load((resumed / "hparams.yaml").read_text())["max_epochs"] == 5
    limit = checkpoint(resumed)["config"]["trainer"]["limit_train_batches"]
    batches = BATCHES if limit is None else limit
    assert checkpoint(resumed)["global_step"] == 5 * batches


def test_going_back_one_epoch_repeats_no_point_of_the_curves(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    before = curves(run_folder(tmp_path))
    place = ["--trainer.default_root_dir", str(tmp_path), "--trainer.accelerator", "cpu"]
    previous = run_folder(tmp_path) / "checkpoints" / "last.prev.ckpt"
    answer = run_process("fit", "--ckpt_path", str(previous), *place)

    assert (answer.code, answer.err) == (0, "")
    assert [path.name for path in (tmp_path / "lightning_logs").iterdir()] == ["version_0"]
    assert [epoch["epoch"] for epoch in results(run_folder(tmp_path))] == [1, 2, 3]
    assert {name: curves(run_folder(tmp_path))[name] for name in METRICS} == {name: before[name] for name in METRICS}


@pytest.mark.parametrize("flags", ["", "--data.split stratified", "--data.memory_map true"])
def test_a_checkpoint_in_the_middle_of_an_epoch_resumes_at_the_next_batch(cli: Cli, tmp_path: Path, flags: str) -> None:
    cli("fit", *EPOCHS, *flags.split(), *SAVE)
    answer = cli("fit", "--ckpt_path", str(tmp_path / "middle.ckpt"))

    assert (answer.code, answer.err) == (0, "")
    assert same_training(checkpoint(run_folder(tmp_path)), checkpoint(run_folder(tmp_path, 1)))
    assert results(run_folder(tmp_path)) == results(run_folder(tmp_path, 1))
    epochs = recorded(run_folder(tmp_path, 1))["epochs"]
    assert [round(epoch["seconds"] * epoch["samples_per_second"]) for epoch in epochs] == [170, 170 - 3 * 32, 170]


def test_a_64_bit_run_goes_on_in_32_bits(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS, "--trainer.precision", "64-true")
    answer = cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "4", "--trainer.precision", "32-true")

    assert answer.code == 0
    assert cli("test", "--ckpt_path", "last").code == 0
    assert {value.dtype for value in checkpoint(run_folder(tmp_path))["state_dict"].values()} == {torch.float32}


def test_resuming_a_finished_run_changes_nothing_and_says_so(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    before = curves(run_folder(tmp_path))
    answer = cli("fit", "--ckpt_path", "last")

    assert answer.code == 0
    assert "Nothing left to train: 3 epochs are done" in answer.out
    assert "Trained" not in answer.out
    assert curves(run_folder(tmp_path)) == before


def test_training_on_from_best_starts_a_run_of_its_own(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    before = (run_folder(tmp_path) / "checkpoints" / "last.ckpt").read_bytes()
    cli("fit", "--ckpt_path", "best", "--trainer.max_epochs", "6")

    assert (run_folder(tmp_path) / "checkpoints" / "last.ckpt").read_bytes() == before
    assert [epoch["epoch"] for epoch in results(run_folder(tmp_path, 1))] == [1, 2, 3, 4, 5, 6]


def test_a_branch_that_never_gets_better_names_its_own_best(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("fit", "--trainer.max_epochs", "6")
    loss = Classifier.loss
    monkeypatch.setattr(Classifier, "loss", lambda self, images, labels: loss(self, images, 9 - labels))
    answer = cli("fit", "--ckpt_path", "best", "--trainer.max_epochs", "8")
    cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "9")
    branch = run_folder(tmp_path, 1)
    result = recorded(branch)
    start = checkpoint(run_folder(tmp_path), "best")["epoch"] + 1

    assert answer.code == 0
    assert result["best"]["val/acc"] == max(epoch["val/acc"] for epoch in result["epochs"][start:])
    assert result["best"]["val/acc"] < max(epoch["val/acc"] for epoch in result["epochs"][:start])
    assert result["best"]["epoch"] == checkpoint(branch, "best")["epoch"] + 1


@pytest.mark.parametrize("change", ["--data.batch_size 50", "--seed_everything 7", "--data.split stratified"])
def test_the_rest_of_an_epoch_keeps_its_batches(cli: Cli, tmp_path: Path, change: str) -> None:
    cli("fit", *EPOCHS, *SAVE)
    answer = cli("fit", "--ckpt_path", str(tmp_path / "middle.ckpt"), *change.split())

    assert answer.code == 2
    assert f"{change} differs from {tmp_path}" in answer.err
