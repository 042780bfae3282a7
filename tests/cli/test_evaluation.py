"""Validation and test of a checkpoint, which brings its network, its data and its fold."""

from pathlib import Path

import pytest
import yaml

from tests.conftest import TEST_SIZE, Cli
from tests.training import EPOCHS, recorded, run_folder


def test_evaluation_writes_into_the_run_and_makes_no_other(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    run = run_folder(tmp_path)
    assert cli("validate", "--ckpt_path", str(run)).code == 0
    answer = cli("test", "--ckpt_path", "best")
    validated, tested = recorded(run, "validate"), recorded(run, "test")
    best = recorded(run)["best"]

    assert (answer.code, answer.err) == (0, "")
    assert f"test/acc: {tested['test/acc']:.4f}" in answer.out
    assert validated["val/acc"] == pytest.approx(best["val/acc"])
    assert validated["val/loss"] == pytest.approx(best["val/loss"])
    assert tested.keys() == {"test/acc", "test/loss", "samples", "correct", "checkpoint", "devices"}
    assert tested["samples"] == TEST_SIZE
    assert tested["correct"] / TEST_SIZE == pytest.approx(tested["test/acc"])
    assert tested["checkpoint"] == str(run / "checkpoints" / "best.ckpt")
    assert [path.name for path in (tmp_path / "lightning_logs").iterdir()] == ["version_0"]


def test_a_checkpoint_brings_its_network_data_and_normalization(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS, "--model.hidden_units", "[12,7]", "--data.normalization", "standard", "--data.val_size", "50")
    cli("validate", "--ckpt_path", "best")
    best = recorded(run_folder(tmp_path))["best"]
    validated = recorded(run_folder(tmp_path), "validate")

    assert validated["samples"] == 50
    assert validated["val/loss"] == pytest.approx(best["val/loss"])


def test_flags_beat_the_checkpoint_where_they_can(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    cli("validate", "--ckpt_path", "best", "--data.val_size", "40")

    assert recorded(run_folder(tmp_path), "validate")["samples"] == 40


FOLD = ["--data.val_size", "12000", "--data.folds", "4", "--data.fold", "0"]


@pytest.mark.parametrize("split", ["tail", "stratified"])
def test_a_checkpoint_brings_its_fold(cli: Cli, tmp_path: Path, split: str) -> None:
    assert cli("fit", *EPOCHS, *FOLD, "--data.split", split).code == 0
    run = run_folder(tmp_path)
    validated = cli("validate", "--ckpt_path", "best")
    best = recorded(run)["best"]
    result = recorded(run, "validate")

    assert (validated.code, validated.err) == (0, "")
    assert result["samples"] == (58 if split == "stratified" else 57)
    assert result["val/loss"] == pytest.approx(best["val/loss"])
    assert cli("test", "--ckpt_path", "best").code == 0
    assert recorded(run, "test")["samples"] == TEST_SIZE
    hparams = yaml.safe_load((run / "hparams.yaml").read_text())
    assert (hparams["fold"], hparams["folds"]) == (0, 4)
    for flag in ("fold 1", "folds 5"):
        refused = cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "5", f"--data.{flag.split()[0]}", flag[-1])
        assert (refused.code, f"--data.{flag} differs from {run}" in refused.err) == (2, True), refused
    assert cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "4").code == 0


def test_a_training_that_was_begun_without_folds_goes_on_without(cli: Cli, tmp_path: Path) -> None:
    assert cli("fit", *EPOCHS).code == 0
    assert "fold" not in (run_folder(tmp_path) / "hparams.yaml").read_text()
    refused = cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "4", *FOLD)

    assert refused.code == 2
    assert "differs from" in refused.err
