"""The commands where Python lacks what it lacks on Windows, and refuses what it refuses there."""

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from src.cli.messages import explain_missing_config
from src.common import files, system
from src.common.files import write_atomic
from src.launch import store as store_module
from src.runs.folder import Run
from tests.conftest import REPOSITORY, Answer

pytestmark = pytest.mark.slow

IMITATION = {
    "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "tests" / "faults" / "windows"), str(REPOSITORY)]),
    "PYTHONIOENCODING": "cp950",
    "PYTHONUTF8": "0",
}
# names of Python that Windows does not have
POSIX = {
    "os": {"sysconf", "fchmod", "sched_getaffinity", "fork", "getuid", "uname", "setsid", "killpg", "statvfs"},
    "signal": {"SIGHUP", "SIGKILL", "SIGUSR1", "SIGALRM", "alarm", "pause"},
}
POSIX_MODULES = {"fcntl", "pwd", "grp", "resource", "termios", "tty", "pty", "select"}
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
    assert "going on after epoch" in answer.out


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


def test_a_config_comes_from_standard_input_too(folder: Path) -> None:
    """What is no file is read as jsonargparse reads it."""
    done = subprocess.run(
        [sys.executable, "-m", "src.cli", "fit", "--config", "-", "--print_config"],
        input=b"model:\n  hidden_units: [7]\n",
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert re.search(rb"hidden_units:\s+- 7\s", done.stdout)


def test_nothing_but_system_asks_for_what_windows_does_not_have() -> None:
    paths = {path for path in (REPOSITORY / "src").rglob("*.py") if path.name != "system.py"}

    assert REPOSITORY / "src" / "cli" / "main.py" in paths
    for path in sorted(paths):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
                assert not POSIX_MODULES & {name.partition(".")[0] for name in names}, path
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                is_checked = "hasattr(" in path.read_text().splitlines()[node.lineno - 1]
                assert is_checked or node.attr not in POSIX.get(node.value.id, ()), f"{path}:{node.lineno}"


def test_a_file_that_a_virus_scanner_holds_is_replaced_when_it_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, refusals = tmp_path / "last.ckpt", iter([True, True, False])
    real = Path.replace

    def replace(new: Path, target: Path) -> Path:
        if next(refusals):
            raise PermissionError(13, "The process cannot access the file", str(new), str(target))
        return real(new, target)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(system, "PAUSE_SECONDS", 0)
    write_atomic(path, b"new")

    assert path.read_bytes() == b"new"


def test_a_file_that_stays_held_is_named_and_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"old")

    def replace(new: Path, target: Path) -> Path:
        raise PermissionError(13, "The process cannot access the file", str(new), str(target))

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(system, "PAUSE_SECONDS", 0)
    with pytest.raises(PermissionError) as refused:
        write_atomic(path, b"new")

    assert refused.value.filename == str(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.ckpt"] and path.read_bytes() == b"old"


def test_a_command_is_written_for_the_shell_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(Path("my runs") / "version_0")
    assert run.way_on.endswith("--ckpt_path 'my runs/version_0'")

    monkeypatch.setattr(system, "WINDOWS", True)
    assert run.way_on.endswith('--ckpt_path "my runs/version_0"')


def test_a_config_on_another_drive_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def relpath(path: Path) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", relpath)
    assert explain_missing_config("config", Path("D:/none.yaml")).startswith("--config D:/none.yaml: no such file")


def test_processes_meet_without_libuv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "WINDOWS", True)
    store: Any = store_module.open_store("127.0.0.1", 0, is_first=True)
    assert not store.libuvBackend

    other = store_module.open_store("127.0.0.1", store.port, is_first=False)
    other.set("key", "value")
    assert store.get("key") == b"value"


def test_a_folder_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.os, "open", refuse)
    monkeypatch.setattr(files, "WINDOWS", True)
    with pytest.raises(IsADirectoryError):
        files.open_regular(tmp_path)
