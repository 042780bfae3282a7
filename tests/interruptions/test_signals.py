"""A run that is stopped by a signal saves, says how to go on, and goes on as if nothing had been."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Cli
from tests.training import (
    BATCHES,
    EPOCHS,
    NO_CALLBACKS,
    checkpoint,
    curves,
    results,
    run_folder,
    same_training,
)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_at_the_next_step_and_the_run_goes_on_as_if_nothing_was(
    cli: Cli, tmp_path: Path, number: int, code: int
) -> None:
    cli("fit", *EPOCHS)
    stop = ["--trainer.callbacks+=tests.faults.stops.Signal", f"--trainer.callbacks.number={int(number)}"]
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


@pytest.mark.parametrize(
    ("subcommand", "number", "code"),
    [("fit", signal.SIGINT, 130), ("fit", signal.SIGTERM, 143), ("test --ckpt_path best", signal.SIGINT, 130)],
)
@pytest.mark.usefixtures("interruptible")
def test_a_signal_outside_of_the_steps_is_no_success(cli: Cli, subcommand: str, number: int, code: int) -> None:
    cli("fit", *EPOCHS)
    stop = ["--trainer.callbacks+=tests.faults.stops.SignalEarly", f"--trainer.callbacks.number={int(number)}"]
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


def test_ctrl_c_in_a_terminal_ends_with_the_command_that_goes_on(
    endless: subprocess.Popen[str], tmp_path: Path
) -> None:
    endless.send_signal(signal.SIGINT)
    _, err = endless.communicate(timeout=60)

    assert endless.returncode == 130
    assert err.strip().endswith(f"--ckpt_path {run_folder(tmp_path)}")
    assert checkpoint(run_folder(tmp_path))["global_step"] > BATCHES


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
