"""Calls that Windows does not have or answers in another way, one by one."""

import ast
import math
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from src.cli.messages import explain_missing_config
from src.common import files, system
from src.common.files import write_atomic
from src.launch import store as store_module
from src.runs.folder import Run
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow

# names of Python that Windows does not have
POSIX = {
    "os": {"sysconf", "fchmod", "sched_getaffinity", "fork", "getuid", "uname", "setsid", "killpg", "statvfs"},
    "signal": {"SIGHUP", "SIGKILL", "SIGUSR1", "SIGALRM", "alarm", "pause"},
}
POSIX_MODULES = {"fcntl", "pwd", "grp", "resource", "termios", "tty", "pty", "select"}


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


def test_without_limits_that_the_system_tells_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, files_ in ((256, 256), (resource.RLIM_INFINITY, math.inf)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limit=limit: (limit, limit))
        assert system.open_files() == files_
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    monkeypatch.setattr(system, "WINDOWS", True)
    assert system.open_files() == math.inf

    assert 1 << 28 < system.memory_bytes() < math.inf
    monkeypatch.delattr(os, "sysconf")
    assert system.memory_bytes() == math.inf


def test_a_folder_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.os, "open", refuse)
    monkeypatch.setattr(files, "WINDOWS", True)
    with pytest.raises(IsADirectoryError):
        files.open_regular(tmp_path)
