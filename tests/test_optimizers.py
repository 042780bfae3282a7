"""Training with other optimizers and schedules than the recipe's, stopped in the middle and gone on with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch.optim import SGD, Adam, NAdam, Optimizer, RMSprop
from torch.optim.lr_scheduler import MultiStepLR, OneCycleLR, ReduceLROnPlateau, StepLR

from src.callbacks.checkpoints import Checkpoints
from src.model.classifier import Classifier
from tests.conftest import Cli
from tests.training import checkpoint, run_folder, same

Configured = Callable[[Classifier], Any]
EPOCHS = 4  # of 6 steps
QUIET = ("--checkpoints.every_n_steps", "1", "--trainer.max_epochs", str(EPOCHS))


def momentum(model: Classifier) -> Optimizer:
    return SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)


def per_epoch(schedule: Callable[..., Any], **words: Any) -> Configured:
    def configure(model: Classifier) -> Any:
        optimizer = momentum(model)
        return [optimizer], [schedule(optimizer, **words)]

    return configure


def one_cycle(model: Classifier) -> Any:
    """Asks the Trainer for its steps, for which that sets up the loader before its state is restored."""
    optimizer = momentum(model)
    steps = int(model.trainer.estimated_stepping_batches)
    if not model.automatic_optimization:
        steps *= model.steps_per_execution
    schedule = OneCycleLR(optimizer, max_lr=0.05, total_steps=steps + 1)
    return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def plateau(model: Classifier) -> Any:
    """Divides lr by 2 after every epoch but the first, as none is better by so much."""
    optimizer = momentum(model)
    schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=1e9, threshold_mode="abs")
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": "val/loss"}}


CONFIGURED: dict[str, Configured] = {
    "SGD": momentum,
    "NAdam": lambda model: NAdam(model.parameters(), lr=1e-3),
    "RMSprop": lambda model: RMSprop(model.parameters(), lr=1e-4, centered=True, momentum=0.5),
    "AMSGrad": lambda model: Adam(model.parameters(), amsgrad=True),
    "OneCycleLR": one_cycle,
    "MultiStepLR": per_epoch(MultiStepLR, milestones=[1, 3, 3], gamma=0.5),
    "StepLR": per_epoch(StepLR, step_size=1, gamma=0.5),
    "ReduceLROnPlateau": plateau,
}


class StopError(Exception):
    """A kill, for a process that is not its own."""


WITHIN, AT_END = 9, 12  # steps after which it is stopped
CASES = [(name, 1, stop) for name in CONFIGURED for stop in (WITHIN, AT_END)]
CASES += [(name, 2, stop) for name, stop in (("SGD", WITHIN), ("OneCycleLR", WITHIN), ("MultiStepLR", AT_END))]


@pytest.mark.parametrize(("name", "steps_per_execution", "stop"), CASES)
def test_a_stopped_training_goes_on_bit_for_bit(
    name: str, steps_per_execution: int, stop: int, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure = CONFIGURED[name]
    monkeypatch.setattr(Classifier, "configure_optimizers", lambda model: configure(model))
    stop_and_go_on(["--model.steps_per_execution", str(steps_per_execution)], stop, cli, tmp_path, monkeypatch)


BY_FLAGS = {
    "--optimizer SGD --optimizer.lr 0.05 --optimizer.momentum 0.9 --optimizer.nesterov true": WITHIN,
    "--optimizer NAdam --model.steps_per_execution 2": WITHIN,
    "--optimizer Adafactor --optimizer.lr 0.01": AT_END,
    "--lr_scheduler CosineAnnealingLR --lr_scheduler.T_max 4": AT_END,
    "--lr_scheduler OneCycleLR --lr_scheduler.max_lr 0.01 --lr_scheduler.total_steps 99 "
    "--lr_scheduler_interval step": WITHIN,
    "--lr_scheduler StepLR --lr_scheduler.step_size 1 --model.steps_per_execution 3": AT_END,
    "--optimizer SGD --lr_scheduler ReduceLROnPlateau --lr_scheduler.monitor val/loss --lr_scheduler.patience 0 "
    "--lr_scheduler.threshold 0.9": AT_END,
}


@pytest.mark.parametrize("flags", BY_FLAGS)
def test_what_is_chosen_by_flags_goes_on_from_the_checkpoint_alone(
    flags: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_and_go_on(flags.split(), BY_FLAGS[flags], cli, tmp_path, monkeypatch)


def stop_and_go_on(flags: list[str], stop: int, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*QUIET, *flags, "--model.dropout", "0.2"]
    assert cli("fit", *words).code == 0
    save = Checkpoints._save_last

    def save_and_stop(self: Checkpoints, trainer: Any, same: Path | None = None) -> None:
        save(self, trainer, same)
        if trainer.global_step >= stop:
            raise StopError

    monkeypatch.setattr(Checkpoints, "_save_last", save_and_stop)
    with pytest.raises(StopError):
        cli("fit", *words)
    monkeypatch.setattr(Checkpoints, "_save_last", save)
    whole, stopped = run_folder(tmp_path), run_folder(tmp_path, 1)
    assert stop <= checkpoint(stopped)["global_step"] < stop + 3
    answer = cli("fit", "--ckpt_path", str(stopped))

    assert (answer.code, answer.err) == (0, "")
    expected, resumed = checkpoint(whole), checkpoint(stopped)
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "train_sums", "epoch", "global_step"):
        assert same(expected[part], resumed[part]), part
    assert epochs_of(expected) == epochs_of(resumed)


def epochs_of(content: dict[str, Any]) -> list[list[float]]:
    records = content["callbacks"]["History"]["epochs"]
    return [[record[name] for name in ("train/loss", "val/loss", "lr")] for record in records]


@pytest.mark.parametrize("steps_per_execution", ["1", "2"])
def test_an_epochs_schedule_moves_once_an_epoch(
    steps_per_execution: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Classifier, "configure_optimizers", CONFIGURED["StepLR"])
    assert cli("fit", *QUIET, "--model.steps_per_execution", steps_per_execution).code == 0
    epochs = checkpoint(run_folder(tmp_path))["callbacks"]["History"]["epochs"]

    assert [epoch["lr"] for epoch in epochs] == pytest.approx([0.005, 0.0025, 0.00125, 0.000625])


def test_a_schedule_that_watches_a_metric_is_part_of_the_epoch_that_is_saved(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Classifier, "configure_optimizers", plateau)
    assert cli("fit", *QUIET).code == 0

    content = checkpoint(run_folder(tmp_path))
    assert content["lr_schedulers"][0]["last_epoch"] == EPOCHS
    assert content["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(0.01 * 0.5 ** (EPOCHS - 1))


@pytest.mark.filterwarnings("ignore:The lr scheduler dict contains the key")  # Lightning's own word on it
def test_a_schedule_that_watches_a_metric_needs_single_steps(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Classifier, "configure_optimizers", plateau)
    answer = cli("fit", *QUIET, "--model.steps_per_execution", "2")

    assert answer.code == 2
    assert "a scheduler that monitors a metric needs" in answer.err


def test_a_metric_that_is_not_there_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def configure(model: Classifier) -> Any:
        configured = plateau(model)
        configured["lr_scheduler"]["monitor"] = "val/auc"
        return configured

    monkeypatch.setattr(Classifier, "configure_optimizers", configure)
    answer = cli("fit", *QUIET)

    assert answer.code == 2
    assert "there is no metric val/auc; the metrics are: train/acc, train/loss, val/acc, val/loss" in answer.err
