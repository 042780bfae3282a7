import os
import subprocess
import sys
from pathlib import Path

import pytest
from lightning.pytorch.accelerators import CUDAAccelerator

from src.callbacks.console import shown_time
from tests.conftest import REPOSITORY, Cli

NONE = "Nothing was validated, so there is no best.ckpt"


@pytest.mark.parametrize(
    ("flags", "says", "hides"),
    [
        ("--trainer.limit_val_batches 0", (f"{NONE}; the last epoch is ", "last.ckpt"), ()),
        ("--trainer.check_val_every_n_epoch 5", (f"{NONE}; the last epoch is ", "last.ckpt"), ()),
        ("--data.val_size 0 --trainer.enable_checkpointing false", (f"{NONE}\n",), ("last.ckpt",)),
        ("--trainer.enable_checkpointing false", ("Best val/acc ", " in epoch 1\n"), (".ckpt",)),
        ("--trainer.max_epochs -1 --trainer.max_steps 6", ("Epoch 1 - ",), ("/-1",)),
    ],
)
def test_the_closing_lines_are_true(cli: Cli, flags: str, says: tuple[str, ...], hides: tuple[str, ...]) -> None:
    answer = cli("fit", "--trainer.max_epochs", "1", *flags.split())

    assert (answer.code, answer.err) == (0, "")
    for words in says:
        assert words in answer.out
    for words in hides:
        assert words not in answer.out


@pytest.mark.parametrize(("seconds", "shown"), [(83.24, "83.2s"), (0.1, "0.1s"), (0.0431, "43ms")])
def test_an_epoch_too_short_for_a_tenth_of_a_second_is_told_in_milliseconds(seconds: float, shown: str) -> None:
    assert shown_time(seconds) == shown


def test_a_gpu_that_is_not_asked_for_is_not_spoken_of(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CUDAAccelerator, "is_available", staticmethod(lambda: True))
    answer = cli("fit", "--trainer.max_epochs", "1")

    assert (answer.code, answer.err) == (0, "")


HEAD = "| head -1; exit ${PIPESTATUS[0]}"
NOBODY = pytest.mark.parametrize(("after", "unbuffered"), [(HEAD, ""), (HEAD, "1"), (">&-", ""), (">&- 2>&-", "")])


def shell(words: str, after: str, unbuffered: str) -> subprocess.CompletedProcess[str]:
    command = f"{sys.executable} -m src.cli {words} {after}"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    return subprocess.run(
        ["bash", "-c", command], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300
    )


@NOBODY
def test_training_goes_on_when_nobody_reads(after: str, unbuffered: str, tmp_path: Path, digits: Path) -> None:
    flags = f"--data.data_dir {digits} --data.val_size 60 --data.batch_size 32 --trainer.max_epochs 3"
    place = f"--trainer.default_root_dir {tmp_path} --trainer.accelerator cpu"
    done = shell(f"fit {flags} {place}", after, unbuffered)

    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == (after == HEAD)
    assert (tmp_path / "lightning_logs" / "version_0" / "result.json").exists()


def test_a_look_at_the_data_ends_cleanly_without_an_output(tmp_path: Path, digits: Path) -> None:
    sheet = tmp_path / "data.png"
    done = shell(f"data --data.data_dir {digits} --data.val_size 60 --data.batch_size 32 --output {sheet}", ">&-", "")

    assert (done.returncode, done.stderr) == (0, "")
    assert sheet.exists()
