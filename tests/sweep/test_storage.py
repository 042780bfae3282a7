"""Where a study is kept: what is refused, and that nothing of it is changed."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import optuna
import pytest

from src.sweep import storage
from src.sweep.trial import Progress
from tests.sweep.conftest import SPACE, Sweep, study_folder


def other_study(path: Path, name: str, directions: list[Literal["minimize", "maximize"]]) -> None:
    study = optuna.create_study(study_name=name, storage=f"sqlite:///{path}", directions=directions)
    study.add_trial(optuna.create_trial(values=[0.5] * len(directions)))


def other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE places (name)")
        connection.commit()


def lost_page(path: Path) -> None:
    other_study(path, "space", ["maximize"])
    content = bytearray(path.read_bytes())
    content[4_096:8_192] = bytes(4_096)
    path.write_bytes(content)


def half_database(path: Path) -> None:
    other_study(path, "space", ["maximize"])
    path.write_bytes(path.read_bytes()[:20_000])


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda path: path.write_text("one line, and no newline"), "is damaged or not the database of a study (file"),
        (lambda path: path.write_text('{"op_code": 0}\n'), "is damaged or not the database of a study (file"),
        (other_database, "is damaged or not the database of a study (no such table: studies): name another file"),
        (lost_page, "is damaged or not the database of a study (*** in database main *** Page 2: "),
        (half_database, "is damaged or not the database of a study ("),
        (lambda path: other_study(path, "space", ["maximize"]), "has a study of this name by another program; give"),
        (lambda path: other_study(path, "space", ["minimize"]), "has a study of this name by another program; give"),
        (lambda path: other_study(path, "space", ["maximize"] * 2), "has a study of this name by another program"),
    ],
)
def test_the_file_of_something_else_is_refused_and_stays(
    sweep: Sweep, tmp_path: Path, write: Callable[[Path], Any], sentence: str
) -> None:
    path = tmp_path / "file"
    write(path)
    before = path.read_bytes()
    answer = sweep(SPACE, "--storage", str(path))

    assert answer.code == 2
    assert sentence in answer.err
    assert answer.err.count("\n") == 1
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [path, tmp_path / "space.yaml"]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_keeps_no_study(sweep: Sweep, tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "file")
    answer = sweep(SPACE, "--storage", f"sqlite:///{tmp_path}/file")

    assert answer.code == 2
    assert f"--storage {tmp_path}/file is damaged or not the database of a study (not a regular file)" in answer.err


def test_a_study_begun_with_a_journal_is_refused(sweep: Sweep, tmp_path: Path) -> None:
    study_folder(tmp_path).mkdir(parents=True)
    (study_folder(tmp_path) / "journal.log").write_text('{"op_code": 0}\n')
    answer = sweep(SPACE)

    assert answer.code == 2
    assert "--study space was begun by a version before 0.2" in answer.err
    assert "give this one another name with --study." in answer.err
    assert [path.name for path in study_folder(tmp_path).iterdir()] == ["journal.log"]


@pytest.mark.parametrize(("kind", "code"), [("nfs4", 2), ("ext4", 0)])
def test_a_network_folder_keeps_no_study(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, code: int
) -> None:
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 27 0:999 / /proc rw,relatime - proc proc rw\n"
        f"27 1 {os.major(device)}:{os.minor(device)} / /home\\040x rw shared:1 - {kind} server:/home rw\n"
    )
    monkeypatch.setattr(storage, "MOUNTS", mounts)
    answer = sweep(SPACE, "--trials", "1")

    assert answer.code == code
    assert (f"lies on a network folder ({kind}), where SQLite may lose a study" in answer.err) == (code == 2)
    assert ("postgresql+psycopg://USER@HOST/NAME" in answer.err) == (code == 2)
    assert study_folder(tmp_path).exists() == (code == 0)


@pytest.mark.parametrize("content", [None, "22 27 0:999 / /proc rw,relatime - proc proc rw\n"])
def test_a_file_system_that_is_not_known_is_not_refused(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "mountinfo").write_text(content)
    monkeypatch.setattr(storage, "MOUNTS", tmp_path / "mountinfo")

    assert storage.file_system(tmp_path / "study.db") == ""
    storage.refuse_file(tmp_path / "study.db")


def test_a_file_of_any_name_keeps_a_study(sweep: Sweep, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "{a}?b%20#é.db"
    assert sweep(SPACE, "--trials", "1", "--storage", str(path)).code == 0

    assert [path.name for path in path.parent.iterdir()] == ["{a}?b%20#é.db"]
    assert not (study_folder(tmp_path) / "study.db").exists()


def test_a_storage_that_is_lost_ends_a_sweep_in_a_sentence(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Progress, "_report", lambda self, record: (tmp_path / "study.db").write_bytes(b"no more"))
    answer = sweep(SPACE, "--storage", f"sqlite:///{tmp_path}/study.db", "--trials", "1")

    assert answer.code == 1
    assert answer.err.startswith(f"error: --storage sqlite:///{tmp_path}/study.db was lost (")
    assert answer.err.count("\n") == 1
