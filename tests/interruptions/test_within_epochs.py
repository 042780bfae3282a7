"""A run that ends within an epoch, by a failure, a limit or a callback, goes on there."""

from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.training import (
    BATCHES,
    EPOCHS,
    METRICS,
    NO_CALLBACKS,
    checkpoint,
    curves,
    results,
    run_folder,
    same_training,
)


@pytest.mark.parametrize("steps", ["1", "4"])
def test_checkpoints_within_epochs_are_resumed_like_those_between(cli: Cli, tmp_path: Path, steps: str) -> None:
    words = [*EPOCHS, "--model.steps_per_execution", steps, "--model.dropout", "0.5"]
    cli("fit", *words)
    stop = ["--trainer.callbacks+=tests.faults.stops.FailAt", "--trainer.callbacks.at=12"]
    with pytest.raises(AssertionError, match="on purpose"):
        cli("fit", *words, "--checkpoints.every_n_steps", "4", *stop)
    run = run_folder(tmp_path, 1)
    saved = [checkpoint(run, name)["global_step"] for name in ("last", "last.prev")]
    answer = cli("fit", "--ckpt_path", "last", *NO_CALLBACKS)

    assert saved == [12, 10]  # the end of the second epoch, and four steps after that of the first
    assert (answer.code, answer.err) == (0, "")
    assert same_training(checkpoint(run_folder(tmp_path)), checkpoint(run))
    assert results(run_folder(tmp_path)) == results(run)


@pytest.mark.parametrize(
    ("limit", "trained"),
    [
        ("--trainer.max_steps 9", "Trained 1 epoch in"),
        ("--trainer.callbacks+=tests.faults.stops.StopAtNine", "Trained 1 of 3 epochs in"),
    ],
)
def test_what_ends_within_an_epoch_goes_on_there(cli: Cli, tmp_path: Path, limit: str, trained: str) -> None:
    ended = cli("fit", *EPOCHS, *limit.split())
    run = run_folder(tmp_path)
    assert ended.code == 0
    assert "Epoch 2/3 - stopped after step 9" in ended.out
    assert trained in ended.out
    assert len(results(run)) == 1

    refused = cli("fit", "--ckpt_path", "last", *NO_CALLBACKS, "--trainer.max_steps", "8")
    assert "--trainer.max_steps 8 leaves nothing to train" in refused.err
    assert cli("fit", "--ckpt_path", "last", *NO_CALLBACKS, "--trainer.max_steps", "-1").code == 0
    cli("fit", *EPOCHS)
    undisturbed = run_folder(tmp_path, 1)
    assert same_training(checkpoint(run), checkpoint(undisturbed))
    assert [curves(run)[name] for name in METRICS] == [curves(undisturbed)[name] for name in METRICS]
    assert results(run) == results(undisturbed)


def test_what_a_validation_within_an_epoch_ends_goes_on_there(cli: Cli, tmp_path: Path) -> None:
    halves = [*EPOCHS, "--trainer.val_check_interval", "3"]
    ended = cli("fit", *halves, "--trainer.callbacks+=tests.faults.stops.StopAtSecondValidation")
    run = run_folder(tmp_path)
    assert "Epoch 2/3 - stopped after step 9" in ended.out
    assert checkpoint(run)["global_step"] == 9

    answer = cli("fit", "--ckpt_path", "last", *NO_CALLBACKS, "--trainer.val_check_interval", "3")
    assert (answer.code, answer.err) == (0, "")
    cli("fit", *halves)
    undisturbed = run_folder(tmp_path, 1)
    assert same_training(checkpoint(run), checkpoint(undisturbed))
    assert results(run) == results(undisturbed)


def test_no_more_is_saved_while_the_asked_for_minimum_is_trained(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS, "--trainer.min_epochs", "3", "--trainer.callbacks+=tests.faults.stops.StopAtOnce")
    steps = [checkpoint(run_folder(tmp_path), name)["global_step"] for name in ("last.prev", "last")]
    assert steps == [2 * BATCHES, 3 * BATCHES]


EARLY = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss", "--trainer.callbacks.patience=0",
         "--trainer.callbacks.min_delta=0.5", "--trainer.max_epochs", "4"]  # fmt: skip


def test_a_run_goes_on_with_its_callbacks_or_says_what_is_missing(cli: Cli, tmp_path: Path) -> None:
    undisturbed = cli("fit", *EPOCHS, *EARLY)
    stop = ["--trainer.callbacks+=tests.faults.stops.Signal", "--trainer.callbacks.number=2"]
    cli("fit", *EPOCHS, *EARLY, *stop, "--trainer.callbacks.at=3")
    run = run_folder(tmp_path, 1)
    refused = cli("fit", "--ckpt_path", "last")

    assert "Trained 2 of 4 epochs in" in undisturbed.out
    assert refused.code == 2
    assert f"{run} was trained with EarlyStopping, Signal, which a checkpoint does not bring back: put " in refused.err
    assert (
        f"--config {run}/config.yaml first if you trust its source, because it imports them, or resume without them "
        "by --trainer.callbacks null." in refused.err
    )
    some = cli("fit", "--ckpt_path", "last", "--trainer.callbacks+=tests.faults.stops.StopAtNine")
    assert (some.code, "was trained with EarlyStopping, Signal, which" in some.err) == (2, True)
    assert cli("fit", "--ckpt_path", str(run), "--config", str(run / "config.yaml")).code == 0
    assert results(run) == results(run_folder(tmp_path))
    assert cli("fit", "--ckpt_path", str(run), *NO_CALLBACKS).code == 0
    assert len(results(run)) == 4
