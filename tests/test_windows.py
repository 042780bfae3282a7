"""The commands where Python lacks what it lacks on Windows, and refuses what it refuses there."""

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Answer

pytestmark = pytest.mark.slow

IMITATION = {
    "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "tests" / "faults" / "windows"), str(REPOSITORY)]),
    "PYTHONIOENCODING": "cp950",
    "PYTHONUTF8": "0",
}
SEVERAL_COMMANDS = """
import sys
from src.cli.main import main
for line in sys.stdin.buffer.read().decode().splitlines():
    print(f"{line.split()[0]} ended with {main(line.split())}")
"""


@pytest.fixture
def folder(tmp_path: Path, digits: Path) -> Path:
    """A project folder with data, a picture and a config that are named in Chinese."""
    shutil.copytree(digits, tmp_path / "資料")
    (tmp_path / "我的圖").mkdir()
    shutil.copy(REPOSITORY / "images" / "seven.png", tmp_path / "我的圖" / "七.png")
    config = "# 設定: MNIST\ndata:\n  data_dir: 資料\n  val_size: 60\n  batch_size: 32\n"
    (tmp_path / "設定.yaml").write_text(config, encoding="utf-8")
    return tmp_path


FIT = ["fit", "--config", "設定.yaml", "--trainer.accelerator", "cpu"]


@contextmanager
def started(folder: Path, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "src.cli", *words],
        cwd=folder,
        env={**os.environ, **IMITATION},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def several(folder: Path, *commands: str) -> Answer:
    """Run commands in one process, which prints how each ended."""
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL_COMMANDS],
        input="\n".join(commands).encode(),
        cwd=folder,
        env={**os.environ, **IMITATION},
        capture_output=True,
    )
    return Answer(done.returncode, done.stdout.decode("cp950"), done.stderr.decode("cp950"))


def test_every_command_runs(folder: Path) -> None:
    fit = " ".join(FIT)
    answer = several(
        folder,
        f"{fit} --trainer.max_epochs 2",
        f"{fit} --trainer.val_check_interval 99",
        "validate --ckpt_path best --trainer.accelerator cpu",
        "test --ckpt_path best --trainer.accelerator cpu",
        "predict --ckpt_path best --images 我的圖/七.png --output 答.csv",
        "export --ckpt_path best --output 網路.pt2",
        "data --data.data_dir 資料 --data.val_size 60 --output 圖.png",
    )

    ends = [line for line in answer.out.splitlines() if " ended with " in line]
    commands = ("fit", "fit", "validate", "test", "predict", "export", "data")
    assert ends == [f"{name} ended with {2 if number == 1 else 0}" for number, name in enumerate(commands)], answer
    # refused when its run folder was made and locked already
    assert "error: --trainer.val_check_interval 99 is above the" in answer.err
    assert [path.name for path in (folder / "lightning_logs").iterdir()] == ["version_0"]
    assert "七.png" in answer.out and "七.png" in (folder / "答.csv").read_text(encoding="utf-8")
    assert (folder / "網路.pt2").exists() and (folder / "圖.png").exists()
    assert "設定" not in (folder / "lightning_logs" / "version_0" / "config.yaml").read_text(encoding="utf-8")


def test_a_run_is_stopped_and_goes_on(folder: Path) -> None:
    with started(folder, *FIT, "--trainer.max_epochs", "100000") as process:
        assert process.stdout
        assert any(b"Epoch 2/" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert (process.wait(), b"Stopped by SIGINT" in rest) == (130, True), rest

    answer = several(folder, "fit --ckpt_path last --trainer.accelerator cpu --trainer.max_time 00:00:00:01")

    assert "fit ended with 0" in answer.out, answer
    assert "resumed after epoch" in answer.out


def test_two_workers_share_a_sweep(folder: Path) -> None:
    (folder / "space.yaml").write_text("model.lr: {grid: [0.001, 0.01]}\n")
    words = ["--config", "設定.yaml", "--trainer.accelerator", "cpu", "--trainer.max_epochs", "1"]

    with started(folder, "sweep", *words, "--space", "space.yaml", "--workers", "2") as process:
        assert process.stdout
        out = process.stdout.read().decode("cp950")

        assert process.wait() == 0, out
        assert "2 trials: 2 to their end" in out


def test_the_page_is_served_until_it_is_stopped(folder: Path, trained: Path) -> None:
    with started(folder, "serve", "--ckpt_path", str(trained), "--port", "0") as process:
        assert process.stdout
        address = next(line.split()[2].decode() for line in process.stdout if line.startswith(b"Draw on"))
        with urllib.request.urlopen(f"{address}health") as reply:
            assert reply.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
