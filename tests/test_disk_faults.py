"""Calls of the system that fail in each place in turn: a run ends with one sentence or goes on, and nothing is lost."""

import errno
import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import Cli
from tests.faults.calls import Broken, Fault, always, is_folder
from tests.training import run_folder

EPOCHS = ["--trainer.max_epochs", "2", "--inspection.enabled", "false", "--model.hidden_units", "[4]"]


@pytest.mark.parametrize(
    ("module", "name", "number", "holds"),
    [
        (os, "fsync", errno.EINVAL, is_folder),
        (os, "fsync", errno.ENOTSUP, is_folder),
        (os, "link", errno.EXDEV, always),
        (os, "fchmod", errno.ENOTSUP, always),
        (os, "fchmod", errno.EPERM, always),
    ],
)
def test_what_costs_no_durability_is_gone_on_without(
    module: Any, name: str, number: int, holds: Any, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, Fault(getattr(module, name), number, holds))
    answer = cli("fit", *EPOCHS)

    assert (answer.code, answer.err) == (0, "")
    check_whole(run_folder(tmp_path))


def check_whole(run: Path) -> None:
    """Nothing in a run is half a file."""
    for path in run.rglob("*"):
        assert path.suffix not in (".tmp", ".damaged"), path
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        elif path.suffix == ".ckpt":
            torch.load(path, weights_only=True)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("after", range(0, 20, 2))
def test_a_fault_of_the_disk_is_one_sentence_and_the_run_goes_on_later(
    after: int, number: int, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fault = Fault(os.fsync, number, always, after)
        patch.setattr(os, "fsync", fault)
        answer = cli("fit", *EPOCHS)

    if fault.times <= after:
        assert answer.code == 0
        return
    assert answer.code == 1
    (line,) = answer.err.splitlines()
    assert line.startswith(f"error: {tmp_path}")
    assert "another disk" in line
    run = tmp_path / "lightning_logs" / "version_0"
    if (run / "checkpoints" / "last.ckpt").exists():
        check_whole(run)
        assert cli("fit", "--ckpt_path", str(run), "--trainer.max_epochs", "3").code == 0
        check_whole(run)
        assert len(json.loads((run / "result.json").read_text())["epochs"]) == 3


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("after", range(0, 10, 2))
def test_a_write_that_fails_leaves_no_half_file(
    after: int, number: int, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Path.open

    def opened(path: Path, mode: str = "r", *words: Any, **options: Any) -> Any:
        file = written(path, mode, *words, **options)
        if mode in ("xb", "ab"):
            fault = Fault(lambda content: file.write(content[:1]), number, always, 0)
            times.append(path)
            if len(times) > after:
                return Broken(file, fault)
        return file

    times: list[Path] = []
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        answer = cli("fit", *EPOCHS)

    assert answer.code == (1 if len(times) > after else 0)
    if answer.code:
        (line,) = answer.err.splitlines()
        assert line.startswith(f"error: {tmp_path}")
    for run in (tmp_path / "lightning_logs").glob("version_0"):
        check_whole(run)


def test_a_place_without_locks_is_named(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", Fault(fcntl.flock, errno.ENOLCK, always))
    answer = cli("fit", *EPOCHS)

    assert answer.code == 2
    (line,) = answer.err.splitlines()
    assert ".lock: No locks available; name another place" in line
