"""Other metrics beside the accuracy, and other measures of the best epoch."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import Cli
from tests.training import EPOCHS, checkpoint, recorded, run_folder

F1 = ["--model.metrics+=MulticlassF1Score", "--model.metrics.average=macro"]


@pytest.mark.parametrize(
    ("words", "of_best"),
    [
        ("--checkpoints.monitor val/loss", min),
        ("--checkpoints.monitor val/loss --checkpoints.mode max", max),
        ("--checkpoints.monitor val/f1", max),
    ],
)
def test_the_best_epoch_is_told_by_the_monitor(words: str, of_best: Any, cli: Cli, tmp_path: Path) -> None:
    rate = ["--model.lr", "0.3"]  # so that the epochs are no better and better
    answer = cli("fit", *EPOCHS, *F1, *rate, *words.split(), "--trainer.max_epochs", "6")
    run, name = run_folder(tmp_path), words.split()[1]
    history = checkpoint(run)["callbacks"]["History"]["epochs"]
    wanted = of_best(history, key=lambda record: record[name])

    assert (answer.code, answer.err) == (0, "")
    assert f"Best {name} {wanted[name]:.4f} in epoch {wanted['epoch']}: " in answer.out
    assert checkpoint(run, "best")["callbacks"]["History"]["epochs"][-1] == wanted
    assert recorded(run)["best"]["epoch"] == wanted["epoch"]
    assert min(history, key=lambda record: record[name]) != max(history, key=lambda record: record[name])


def test_a_metric_that_is_no_number_is_no_best(cli: Cli, tmp_path: Path) -> None:
    words = ["--model.metrics+=tests.losses.Hits", "--checkpoints.monitor", "val/hits"]
    answer = cli("fit", *EPOCHS, *words)

    assert answer.code == 1
    assert "val/hits is nan after epoch 1" in answer.err


def test_a_metric_with_other_arguments_evaluates_an_old_checkpoint(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS, "--model.metrics+=MulticlassF1Score", "--model.metrics.average=micro")
    macro = '[{"class_path": "MulticlassF1Score", "init_args": {"average": "macro"}}]'
    answer = cli("validate", "--ckpt_path", "best", "--model.metrics", macro)

    assert (answer.code, answer.err) == (0, "")
    assert " - val/f1: " in answer.out


def test_a_checkpoint_from_before_the_monitor_goes_on_by_the_accuracy_alone(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    path = run_folder(tmp_path) / "checkpoints" / "last.ckpt"
    content = torch.load(path)
    del content["config"]["checkpoints"]
    torch.save(content, path)
    words = ["fit", "--ckpt_path", str(path), "--trainer.max_epochs", "4"]
    refused = cli(*words, *F1, "--checkpoints.monitor", "val/f1")

    assert refused.code == 2
    assert f"--checkpoints.monitor val/f1 differs from {path}, which has val/acc; leave out" in refused.err
    assert cli(*words).code == 0


def test_early_stopping_and_a_callbacks_own_checkpoints_watch_a_metric_of_the_config(cli: Cli, tmp_path: Path) -> None:
    stop = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/f1"]
    stop += ["--trainer.callbacks.mode=max", "--trainer.callbacks.min_delta=9", "--trainer.callbacks.patience=1"]
    answer = cli("fit", *EPOCHS, *F1, *stop, "--trainer.max_epochs", "9")

    assert (answer.code, answer.err) == (0, "")
    assert "Trained 2 of 9 epochs" in answer.out
