import errno
import os
import stat
from pathlib import Path

import pytest

from src.common.files import link_atomic, write_atomic


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/file'"):
        write_atomic(path, b"new")
    with pytest.raises(OSError, match=r"No space left on device: '.*/name'"):
        link_atomic(path, tmp_path / "name")
    (tmp_path / "name").unlink()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_second_name_for_the_same_file_leaves_no_other(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", b"content")
    for _ in range(2):
        link_atomic(tmp_path / "file", tmp_path / "name")

    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "name"]


def test_where_there_are_no_second_names_it_is_that_of_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*paths: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    write_atomic(tmp_path / "file", b"new")
    write_atomic(tmp_path / "name", b"old")
    monkeypatch.setattr(os, "link", refuse)
    link_atomic(tmp_path / "file", tmp_path / "name")

    assert (tmp_path / "name").read_bytes() == b"new"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "name"]


def test_others_may_read_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "folder" / "file", b"content")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "folder" / "file").stat().st_mode) == 0o640
