"""A run that is killed, stopped or goes wrong loses nothing."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.inspection.callback import Inspection
from src.model.classifier import Classifier
from tests.conftest import DRAWN, REPOSITORY, Cli, run_process
from tests.test_cli import EPOCHS, METRICS, checkpoint, curves, results, run_folder, same_training

BATCHES = 6  # in an epoch
NO_CALLBACKS = ["--trainer.callbacks", "null"]  # what a test stopped by is not to stop again


def in_process(code: str) -> tuple[int, str]:
    """Run Python in a process of its own, because a kill takes all of it; return its exit code and what it printed."""
    answer = run_process("-c", code)
    return answer.code, answer.out + answer.err


def test_a_killed_run_becomes_the_undisturbed_one(tmp_path: Path, digits: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    code = f"""
from pathlib import Path
from benchmarks import chaos
words = ["--data.data_dir", "{digits}", "--data.val_size", "60", "--data.batch_size", "32", "--model.hidden_units",
         "[16]", "--trainer.max_epochs", "3", "--trainer.accelerator", "cpu", "--inspection.enabled", "false"]
print("outcomes", chaos.study(words, Path("{tmp_path}"), 5, {seed}))
"""
    exit_code, log = in_process(code)

    assert exit_code == 0, log
    assert log.count(": equal") == 5, f"seed {seed}\n{log}"


class Stop(Callback):
    """Sends this process a signal in the middle of an epoch."""

    def __init__(self, number: int, at: int) -> None:
        self.number = number
        self.at = at

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.at:
            signal.raise_signal(self.number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_at_the_next_step_and_the_run_goes_on_as_if_nothing_was(
    cli: Cli, tmp_path: Path, number: int, code: int
) -> None:
    cli("fit", *EPOCHS)
    stop = ["--trainer.callbacks+=tests.test_interruptions.Stop", f"--trainer.callbacks.number={int(number)}"]
    stopped = cli("fit", *EPOCHS, *stop, "--trainer.callbacks.at=8")
    run = run_folder(tmp_path, 1)

    assert stopped.code == code
    assert stopped.err.strip() == (
        f"Stopped by {signal.Signals(number).name}. "
        f"Go on with: python -m src.cli fit --config {run}/config.yaml --ckpt_path {run}"
    )
    assert checkpoint(run)["global_step"] == 9
    assert [step for step, _ in curves(run)["val/acc"]] == [1]
    assert cli("fit", "--ckpt_path", str(run), *NO_CALLBACKS).code == 0
    assert same_training(checkpoint(run_folder(tmp_path)), checkpoint(run))
    assert results(run_folder(tmp_path)) == results(run)


class StopEarly(Callback):
    """Sends this process a signal where Lightning handles it: before the first step, or in a test."""

    def __init__(self, number: int) -> None:
        self.number = number

    def on_train_start(self, *_: Any) -> None:
        signal.raise_signal(self.number)

    def on_test_start(self, *_: Any) -> None:
        signal.raise_signal(self.number)


@pytest.mark.parametrize(
    ("subcommand", "number", "code"),
    [("fit", signal.SIGINT, 130), ("fit", signal.SIGTERM, 143), ("test --ckpt_path best", signal.SIGINT, 130)],
)
@pytest.mark.usefixtures("interruptible")
def test_a_signal_outside_of_the_steps_is_no_success(cli: Cli, subcommand: str, number: int, code: int) -> None:
    cli("fit", *EPOCHS)
    stop = ["--trainer.callbacks+=tests.test_interruptions.StopEarly", f"--trainer.callbacks.number={int(number)}"]
    stopped = cli(*subcommand.split(), *stop)

    assert stopped.code == code
    assert stopped.err.startswith(f"Stopped by {signal.Signals(number).name}.")
    assert len(stopped.err.splitlines()) == 1


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_it_starts_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "docstring_parser.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")  # as imported
    command = [sys.executable, "-m", "src.cli", "fit", "--help"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300)

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped by SIGINT.\n")


def test_the_signals_belong_to_the_caller_again_afterwards(cli: Cli) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    cli("fit", *EPOCHS)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.fixture
def endless(tmp_path: Path, digits: Path) -> Iterator[subprocess.Popen[str]]:
    """A training in a process of its own, with its first epochs done."""
    words = ["--data.data_dir", str(digits), "--data.val_size", "60", "--trainer.default_root_dir", str(tmp_path)]
    command = [sys.executable, "-m", "src.cli", "fit", *words, "--data.batch_size", "32", "--trainer.max_epochs", "-1"]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("Epoch 2"):
        assert process.poll() is None
    yield process
    process.kill()
    process.communicate()


def test_ctrl_c_in_a_terminal_ends_with_the_command_that_goes_on(
    endless: subprocess.Popen[str], tmp_path: Path
) -> None:
    endless.send_signal(signal.SIGINT)
    _, err = endless.communicate(timeout=60)

    assert endless.returncode == 130
    assert err.strip().endswith(f"--ckpt_path {run_folder(tmp_path)}")
    assert checkpoint(run_folder(tmp_path))["global_step"] > BATCHES


def test_two_cannot_train_in_one_run(endless: subprocess.Popen[str], cli: Cli, tmp_path: Path) -> None:
    second = cli("fit", "--ckpt_path", str(run_folder(tmp_path)))

    assert second.code == 2
    assert "is being trained by another process" in second.err
    assert endless.poll() is None


def test_a_second_signal_ends_at_once() -> None:
    code = """
import signal
from src.common.signals import SignalWatch
watch = SignalWatch()
watch.start()
for _ in range(2):
    signal.raise_signal(signal.SIGINT)
    print("still here", watch.received, flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)

    assert done.returncode == -signal.SIGINT  # which a shell reports as 130
    assert (done.stdout, done.stderr) == ("still here 2\n", "Ended at once, without saving.\n")


@pytest.mark.parametrize("steps", ["1", "4"])
def test_checkpoints_within_epochs_are_resumed_like_those_between(cli: Cli, tmp_path: Path, steps: str) -> None:
    words = [*EPOCHS, "--model.steps_per_execution", steps, "--model.dropout", "0.5"]
    cli("fit", *words)
    stop = ["--trainer.callbacks+=tests.test_interruptions.FailAt", "--trainer.callbacks.at=12"]
    with pytest.raises(AssertionError, match="on purpose"):
        cli("fit", *words, "--checkpoints.every_n_steps", "4", *stop)
    run = run_folder(tmp_path, 1)
    saved = [checkpoint(run, name)["global_step"] for name in ("last", "last.prev")]
    answer = cli("fit", "--ckpt_path", "last", *NO_CALLBACKS)

    assert saved == [12, 10]  # the end of the second epoch, and four steps after that of the first
    assert (answer.code, answer.err) == (0, "")
    assert same_training(checkpoint(run_folder(tmp_path)), checkpoint(run))
    assert results(run_folder(tmp_path)) == results(run)


class FailAt(Callback):
    """Breaks a run."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        assert trainer.global_step != self.at, "on purpose"


def nan_after(batches: int) -> Callable[..., torch.Tensor]:
    """Return a forward that has no finite logits any more after some training batches."""
    forward, seen = Classifier.forward, [0]

    def broken(self: Classifier, images: torch.Tensor) -> torch.Tensor:
        seen[0] += self.training
        logits = forward(self, images)
        return logits * float("nan") if self.training and seen[0] > batches else logits

    return broken


@pytest.mark.parametrize("steps", ["1", "4"])
def test_a_loss_that_is_no_number_ends_the_run_and_says_where(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: str
) -> None:
    monkeypatch.setattr(Classifier, "forward", nan_after(8))
    answer = cli("fit", *EPOCHS, "--model.steps_per_execution", steps)
    loss = curves(run_folder(tmp_path))["train/loss"]

    assert answer.code == 1
    assert f"epoch 2, batch 3, lr 0.001, train/loss {loss[0][1]:.4g} in the epoch before" in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert len(loss) == 1
    for name in ("best", "last"):
        saved = checkpoint(run_folder(tmp_path), name)
        assert saved["epoch"] == 0
        assert all(value.isfinite().all() for value in saved["state_dict"].values())


def test_a_metric_that_early_stopping_does_not_find_is_one_sentence(cli: Cli) -> None:
    answer = cli("fit", *EPOCHS, "--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val_loss")

    assert (answer.code, len(answer.err.splitlines())) == (1, 1)
    assert answer.err.startswith("error: --trainer.callbacks: EarlyStopping ended the training (RuntimeError: ")
    assert "`val_loss` which is not available" in answer.err and "`val/loss`" in answer.err


def test_on_a_terminal_an_error_gets_a_line_below_the_bar(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(Classifier, "forward", nan_after(8))
    answer = cli("fit", *EPOCHS)

    assert answer.code == 1
    assert "Epoch 2/3" in answer.out.splitlines()[-1]
    assert answer.out.endswith("\n")


@pytest.mark.parametrize(
    ("limit", "trained"),
    [
        ("--trainer.max_steps 9", "Trained 1 epoch in"),
        ("--trainer.callbacks+=tests.test_interruptions.StopAtNine", "Trained 1 of 3 epochs in"),
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
    ended = cli("fit", *halves, "--trainer.callbacks+=tests.test_interruptions.StopAtSecondValidation")
    run = run_folder(tmp_path)
    assert "Epoch 2/3 - stopped after step 9" in ended.out
    assert checkpoint(run)["global_step"] == 9

    answer = cli("fit", "--ckpt_path", "last", *NO_CALLBACKS, "--trainer.val_check_interval", "3")
    assert (answer.code, answer.err) == (0, "")
    cli("fit", *halves)
    undisturbed = run_folder(tmp_path, 1)
    assert same_training(checkpoint(run), checkpoint(undisturbed))
    assert results(run) == results(undisturbed)


class StopAtSecondValidation(Callback):
    """Ends training at the validation in the middle of the second epoch, as early stopping may."""

    def on_validation_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.global_step == 9


def test_no_more_is_saved_while_the_asked_for_minimum_is_trained(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS, "--trainer.min_epochs", "3", "--trainer.callbacks+=tests.test_interruptions.StopAtOnce")
    steps = [checkpoint(run_folder(tmp_path), name)["global_step"] for name in ("last.prev", "last")]
    assert steps == [2 * BATCHES, 3 * BATCHES]


class StopAtOnce(Callback):
    """Asks for the end from the first step on."""

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.should_stop = True


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_pictures_are_drawn_says_how_to_get_them(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Inspection, "_draw_split", lambda *_: signal.raise_signal(signal.SIGINT))
    stopped = cli("fit", *EPOCHS, *DRAWN)
    unsaved = cli("fit", *EPOCHS, *DRAWN, "--trainer.enable_checkpointing", "false")
    run = run_folder(tmp_path)
    monkeypatch.undo()

    assert stopped.code == 130
    assert stopped.err.strip() == (
        f"Stopped by SIGINT. The network is saved; its pictures: "
        f"python -m src.cli fit --ckpt_path {run} --trainer.max_epochs 3"
    )
    assert unsaved.err.strip() == "Stopped by SIGINT."
    assert cli("fit", "--ckpt_path", str(run)).code == 0
    assert "val/confusion" in EventAccumulator(str(run)).Reload().Tags()["images"]


EARLY = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss", "--trainer.callbacks.patience=0",
         "--trainer.callbacks.min_delta=0.5", "--trainer.max_epochs", "4"]  # fmt: skip


def test_a_run_goes_on_with_its_callbacks_or_says_what_is_missing(cli: Cli, tmp_path: Path) -> None:
    undisturbed = cli("fit", *EPOCHS, *EARLY)
    stop = ["--trainer.callbacks+=tests.test_interruptions.Stop", "--trainer.callbacks.number=2"]
    cli("fit", *EPOCHS, *EARLY, *stop, "--trainer.callbacks.at=3")
    run = run_folder(tmp_path, 1)
    refused = cli("fit", "--ckpt_path", "last")

    assert "Trained 2 of 4 epochs in" in undisturbed.out
    assert refused.code == 2
    assert f"{run} was trained with EarlyStopping, Stop, which a checkpoint does not bring back: put " in refused.err
    assert (
        f"--config {run}/config.yaml first, if you trust where it comes from, as that imports them, or go on "
        "without by --trainer.callbacks null." in refused.err
    )
    some = cli("fit", "--ckpt_path", "last", "--trainer.callbacks+=tests.test_interruptions.StopAtNine")
    assert (some.code, "was trained with EarlyStopping, Stop, which" in some.err) == (2, True)
    assert cli("fit", "--ckpt_path", str(run), "--config", str(run / "config.yaml")).code == 0
    assert results(run) == results(run_folder(tmp_path))
    assert cli("fit", "--ckpt_path", str(run), *NO_CALLBACKS).code == 0
    assert len(results(run)) == 4


def test_a_run_that_is_removed_while_it_trains_ends_with_one_sentence(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *EPOCHS, "--trainer.callbacks+=tests.test_interruptions.Remove")

    assert answer.code == 1
    assert answer.err == f"error: {run_folder(tmp_path)} is gone: it was removed or renamed while it was written to.\n"


class Remove(Callback):
    """Removes the run's folder, as somebody may who thinks that it has ended."""

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.current_epoch == 1:
            shutil.rmtree(run_folder(Path(trainer.default_root_dir)))


class StopAtNine(Callback):
    """Ends training after nine steps, as Lightning's Timer does when the time is over."""

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.global_step == 9


def test_no_step_checkpoint_holds_a_broken_loss(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Classifier, "forward", nan_after(2))
    answer = cli("fit", *EPOCHS, "--checkpoints.every_n_steps", "2")

    assert (answer.code, checkpoint(run_folder(tmp_path))["global_step"]) == (1, 2)


def test_weights_whose_validation_is_no_number_are_never_saved(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(self: Any) -> None:
        with torch.no_grad():
            self.net[-1].weight.fill_(3e38)

    monkeypatch.setattr(Classifier, "on_validation_start", breaks)
    answer = cli("fit", *EPOCHS)

    assert answer.code == 1
    assert "val/loss is" in answer.err
    assert not list((run_folder(tmp_path) / "checkpoints").glob("*"))


@pytest.mark.parametrize("flags", ["--data.val_size 0", "--checkpoints.every_n_steps 1"])
def test_weights_that_no_loss_has_seen_are_never_saved_broken(cli: Cli, tmp_path: Path, flags: str) -> None:
    answer = cli("fit", *EPOCHS, *flags.split(), "--model.lr", "1e39", "--trainer.limit_train_batches", "1")

    assert answer.code == 1
    assert "the weights are no longer finite: epoch 1;" in answer.err
    assert not list((run_folder(tmp_path) / "checkpoints").glob("*"))


def test_what_a_killed_process_was_writing_is_taken_away_by_the_next(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    left = run_folder(tmp_path) / "checkpoints" / ".last.ckpt.x1y2z3.tmp"
    left.touch()
    cli("test", "--ckpt_path", "best")
    assert left.exists()  # it may be another process', which is still writing

    assert cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "4").code == 0
    assert not left.exists()


def test_detect_anomaly_still_names_the_operation(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Classifier, "forward", nan_after(3))
    with pytest.warns(UserWarning, match="Error detected in"), pytest.raises(RuntimeError, match="nan values"):
        cli("fit", *EPOCHS, "--trainer.detect_anomaly", "true")


def test_eight_that_start_together_get_eight_runs(tmp_path: Path, digits: Path) -> None:
    words = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
    place = ["--trainer.default_root_dir", str(tmp_path), "--trainer.max_epochs", "1", "--inspection.enabled", "false"]
    code = f"""
import os
from pathlib import Path
from tests.faults.processes import fork
from src.cli.main import main
children = [fork(lambda: main(["fit", "--seed_everything", str(seed), *{[*words, *place]}]), Path("{tmp_path}/log"))
            for seed in range(8)]
print("codes", [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""
    _, log = in_process(code)
    runs = [run_folder(tmp_path, number) for number in range(8)]

    assert f"codes {[0] * 8}" in log, log
    assert sorted(json.loads((run / "result.json").read_text())["seed"] for run in runs) == list(range(8))
    for run in runs:
        assert len(list(run.glob("events.*"))) == 1
        assert len(curves(run)["val/acc"]) == 1
