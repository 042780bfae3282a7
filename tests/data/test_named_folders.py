"""Folders and files that a user names, or that cannot be read or written: found in their layout, or named."""

import errno
import os
from pathlib import Path

import pytest

from src.common.errors import UsageError
from src.data.checks import OFFICIAL_SHA256, TEST_LABELS, TRAIN_LABELS
from src.data.sources import find_files, place_files
from tests.faults.calls import Fault, always


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_named_folder_may_have_torchvisions_layout(tmp_path: Path, suffix: str) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in OFFICIAL_SHA256:
        (raw / f"{name}{suffix}").touch()

    expected = [raw / f"{name}{suffix}" for name in OFFICIAL_SHA256]
    assert find_files(tmp_path, "MNIST") == expected
    assert find_files(raw, "MNIST") == expected


def test_a_missing_file_of_a_named_folder_is_named(own_digits: Path) -> None:
    (own_digits / TEST_LABELS).unlink()

    with pytest.raises(UsageError, match=f"{TEST_LABELS} is missing"):
        find_files(own_digits, "MNIST")


def deny(monkeypatch: pytest.MonkeyPatch, method: str, path: Path) -> None:
    """Refuse a path to this process; permissions do not hold for root, who may run the tests."""
    owner = os if method == "open" else Path
    original = getattr(owner, method)

    def refuse(self: Path, *args: object, **settings: object) -> object:
        if self == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return original(self, *args, **settings)

    monkeypatch.setattr(owner, method, refuse)


@pytest.mark.parametrize("method", ["stat", "open"])
def test_a_placed_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    path = place_files("MNIST", tmp_path)[2]
    deny(monkeypatch, method, path)
    with pytest.raises(UsageError, match=rf"{path} cannot be read \(Permission denied\): make it readable"):
        place_files("MNIST", tmp_path)


def test_a_named_folder_that_cannot_be_read_is_named(own_digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deny(monkeypatch, "stat", own_digits / TRAIN_LABELS)
    with pytest.raises(UsageError, match=rf"{own_digits / TRAIN_LABELS} cannot be read \(Permission denied\)"):
        find_files(own_digits, "MNIST")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "MNIST").write_bytes(b"mine")
    with pytest.raises(UsageError, match=rf"{tmp_path}/MNIST.* cannot be written \("):
        place_files("MNIST", tmp_path)
    assert (tmp_path / "MNIST").read_bytes() == b"mine"


def test_a_full_disk_is_named_and_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", Fault(os.fsync, errno.ENOSPC, always))
    with pytest.raises(UsageError, match=r"MNIST/raw.* cannot be written \(No space left on device\)"):
        place_files("MNIST", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
