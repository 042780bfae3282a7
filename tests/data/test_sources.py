import multiprocessing
from pathlib import Path

import pytest
from torchvision.datasets import MNIST

from src.data import sources
from src.data.sources import OFFICIAL_SHA256, TEST_LABELS, TRAIN_LABELS, find_folder, place_mnist, sha256
from src.errors import UsageError


def test_the_packaged_copy_is_the_official_mnist_and_torchvision_opens_it(tmp_path: Path) -> None:
    folder = place_mnist(tmp_path)

    assert folder == tmp_path / "MNIST" / "raw"
    assert {name: sha256(folder / name) for name in OFFICIAL_SHA256} == OFFICIAL_SHA256
    assert len(MNIST(str(tmp_path), download=False)) == 60_000


def test_a_wrong_file_is_kept_aside_and_replaced_and_right_ones_are_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = place_mnist(tmp_path)
    (folder / TEST_LABELS).write_bytes(b"mine")
    before = (folder / TRAIN_LABELS).stat().st_mtime_ns

    place_mnist(tmp_path)

    assert sha256(folder / TEST_LABELS) == OFFICIAL_SHA256[TEST_LABELS]
    assert (folder / f"{TEST_LABELS}.wrong").read_bytes() == b"mine"
    assert (folder / TRAIN_LABELS).stat().st_mtime_ns == before
    assert TEST_LABELS in caplog.text


def test_processes_that_start_at_once_all_succeed(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        folders = pool.map(place_mnist, [tmp_path] * 2)

    assert folders == [tmp_path / "MNIST" / "raw"] * 2
    assert sorted(path.name for path in folders[0].iterdir()) == sorted([*OFFICIAL_SHA256, ".lock"])


def test_without_any_source_the_way_out_is_named_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path, names: list[str]) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(sources, "SOURCES", {"a mirror": fail})
    with pytest.raises(UsageError, match=r"a mirror: no network.*pip install.*--data.data_dir"):
        place_mnist(tmp_path)
    assert [path.name for path in (tmp_path / "MNIST" / "raw").iterdir()] == [".lock"]


def test_the_second_source_is_used_when_the_first_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path, names: list[str]) -> None:
        raise RuntimeError("not installed")

    monkeypatch.setattr(sources, "SOURCES", {"first": fail, "second": sources.SOURCES["the packaged copy"]})
    assert place_mnist(tmp_path).is_dir()


def test_a_named_folder_may_have_torchvisions_layout(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in OFFICIAL_SHA256:
        (raw / name).touch()

    assert find_folder(tmp_path) == raw
    assert find_folder(raw) == raw


def test_a_missing_file_of_a_named_folder_is_named(own_digits: Path) -> None:
    (own_digits / TEST_LABELS).unlink()

    with pytest.raises(UsageError, match=f"{TEST_LABELS} is missing"):
        find_folder(own_digits)
