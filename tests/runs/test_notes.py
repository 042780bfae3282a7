"""What a run folder holds is input like any other: damage to it loses nothing that was trained."""

import errno
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.common.errors import RunError
from src.common.files import read_note
from src.data.checks import read_record
from src.launch.job import Job
from tests.conftest import Cli
from tests.faults.calls import Fault, always

DAMAGE: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: path.write_bytes(b""),
    "an empty object": lambda path: path.write_text("{}"),
    "half a file": lambda path: path.write_bytes(path.read_bytes()[:40] if path.exists() else b'{"a'),
    "a list": lambda path: path.write_text("[1]"),
    "null": lambda path: path.write_text("null"),
    "bytes": lambda path: path.write_bytes(b"\xff\xfe\0"),
    "too deep": lambda path: path.write_text("[" * 100_000),
    "a number too long": lambda path: path.write_text("1" * 10_000),
    "other types": lambda path: path.write_text('{"epochs": 3, "command": [], "study": 1, "trial": {}, "data": "x"}'),
    "a pipe": lambda path: (path.unlink(missing_ok=True), os.mkfifo(path)),
    "a folder": lambda path: (path.unlink(missing_ok=True), path.mkdir()),
}
NOTES = ("result.json", "trackers.json", "hparams.yaml", "config.yaml")


@pytest.mark.parametrize("name", NOTES)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_run_goes_on_whatever_became_of_its_notes(name: str, damage: str, cli: Cli, own_run: Path) -> None:
    DAMAGE[damage](own_run / name)
    answer = cli("fit", "--ckpt_path", str(own_run), "--trainer.max_epochs", "3", "--inspection.enabled", "false")

    if damage == "a folder" and name.endswith("yaml"):  # refused before anything is trained
        assert (answer.code, answer.err.count("\n"), str(own_run / name) in answer.err) == (2, 1, True)
        (own_run / name).rmdir()
        answer = cli("fit", "--ckpt_path", str(own_run), "--trainer.max_epochs", "3", "--inspection.enabled", "false")
    assert answer.code == 0, answer.err
    assert all(line.startswith("warning: ") for line in answer.err.splitlines())
    assert len(json.loads((own_run / "result.json").read_text())["epochs"]) == 3
    again = cli("fit", "--ckpt_path", str(own_run), "--trainer.max_epochs", "4", "--inspection.enabled", "false")
    assert (again.code, again.err) == (0, "")


@pytest.mark.parametrize("damage", sorted(DAMAGE.keys() - {"nothing"}))
def test_a_damaged_result_is_named_and_kept_aside(damage: str, cli: Cli, own_run: Path) -> None:
    DAMAGE[damage](own_run / "result.json")
    answer = cli("fit", "--ckpt_path", str(own_run), "--trainer.max_epochs", "3", "--inspection.enabled", "false")

    aside = own_run / "result.json.damaged"
    assert answer.err == f"warning: {own_run / 'result.json'} is damaged: kept as {aside.name}, and made anew.\n"
    assert os.path.lexists(aside)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE])
@pytest.mark.parametrize("place", ["open", "read"])
def test_a_sound_note_that_cannot_be_read_now_stays_where_it_is(
    place: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    path.write_text('{"epochs": []}')

    with monkeypatch.context() as patch:
        fault = Fault(os.open, number, always)
        if place == "open":
            patch.setattr(os, "open", fault)
        else:
            patch.setattr(os, "fdopen", lambda descriptor, mode: os.close(descriptor) or Unreadable(fault))
        with pytest.raises(RunError, match=f"^{path} cannot be read .{os.strerror(number)}"):
            read_note(path, epochs=list)

    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]
    assert read_note(path, epochs=list) == {"epochs": []}


class Unreadable(io.BytesIO):
    """A file on a disk that fails."""

    def __init__(self, fail: Callable[..., Any]) -> None:
        self.read = fail


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_job_passes_over_notes_that_are_none(
    damage: str, own_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    DAMAGE[damage](own_run / "job.json")

    assert Job(["fit"]).run_made(tmp_path) is None


@pytest.mark.parametrize("damage", DAMAGE)
def test_data_whose_record_is_damaged_is_as_without_one(damage: str, tmp_path: Path) -> None:
    DAMAGE[damage](tmp_path / "SOURCE.json")

    assert read_record(tmp_path) == {}
