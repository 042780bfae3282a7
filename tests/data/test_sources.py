import errno
import hashlib
import multiprocessing
import os
from pathlib import Path

import pytest
import torchvision
from torchvision.datasets import MNIST

from src.data import sources
from src.data.datasets import DATASETS, DatasetName
from src.data.sources import OFFICIAL_SHA256, TEST_LABELS, TRAIN_LABELS, find_files, place_files, sha256
from src.errors import UsageError


def test_the_packaged_copy_is_the_official_mnist_and_torchvision_opens_it(tmp_path: Path) -> None:
    folder = tmp_path / "MNIST" / "raw"

    assert place_files("MNIST", tmp_path) == [folder / name for name in OFFICIAL_SHA256]
    assert {name: sha256(folder / name) for name in OFFICIAL_SHA256} == OFFICIAL_SHA256
    assert len(MNIST(str(tmp_path), download=False)) == 60_000


def test_a_wrong_file_is_kept_aside_and_replaced_and_right_ones_are_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = place_files("MNIST", tmp_path)[0].parent
    (folder / TEST_LABELS).write_bytes(b"mine")
    before = (folder / TRAIN_LABELS).stat().st_mtime_ns

    place_files("MNIST", tmp_path)

    assert sha256(folder / TEST_LABELS) == OFFICIAL_SHA256[TEST_LABELS]
    assert (folder / f"{TEST_LABELS}.wrong").read_bytes() == b"mine"
    assert (folder / TRAIN_LABELS).stat().st_mtime_ns == before
    assert TEST_LABELS in caplog.text


def place(root: Path) -> list[Path]:
    return place_files("MNIST", root)


def test_eight_processes_that_start_at_once_all_succeed(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        files = pool.map(place, [tmp_path] * 8, chunksize=1)

    assert all(paths == files[0] for paths in files)
    assert sorted(path.name for path in files[0][0].parent.iterdir()) == sorted([*OFFICIAL_SHA256, ".lock"])


def test_without_any_source_the_way_out_is_named_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path, dataset: str, names: list[str]) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(sources, "SOURCES", {"a mirror": fail})
    with pytest.raises(UsageError, match=r"a mirror: no network.*pip install.*--data.data_dir"):
        place_files("MNIST", tmp_path)
    assert [path.name for path in (tmp_path / "MNIST" / "raw").iterdir()] == [".lock"]


def test_the_second_source_is_used_when_the_first_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path, dataset: str, names: list[str]) -> None:
        raise RuntimeError("not installed")

    monkeypatch.setattr(sources, "SOURCES", {"first": fail, "second": sources.SOURCES["the packaged copy"]})
    assert all(path.is_file() for path in place_files("MNIST", tmp_path))


def test_a_full_disk_is_named_and_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match=r"MNIST/raw cannot be written \(No space left on device\)"):
        place_files("MNIST", tmp_path)
    assert [path.name for path in (tmp_path / "MNIST" / "raw").iterdir()] == [".lock"]


def test_the_family_comes_from_torchvision_under_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Download:
        def __init__(self, root: str, train: bool, download: bool, split: str | None = None) -> None:
            asked.append((train, download, split))
            raw = Path(root) / "EMNIST" / "raw"
            raw.mkdir(parents=True, exist_ok=True)
            for name in DATASETS["EMNIST/letters"].files:
                (raw / name).touch()

    monkeypatch.setattr(torchvision.datasets, "EMNIST", Download)
    files = place_files("EMNIST/letters", tmp_path)

    assert asked == [(True, True, "letters"), (False, True, "letters")]
    assert files[0] == tmp_path / "EMNIST" / "raw" / "emnist-letters-train-images-idx3-ubyte"
    assert all(path.is_file() for path in files)


@pytest.mark.parametrize("dataset", [name for name in DATASETS if name != "QMNIST"])
def test_names_and_classes_are_torchvisions(dataset: DatasetName) -> None:
    kind, _, split = dataset.partition("/")
    theirs = getattr(torchvision.datasets, kind)
    ours = DATASETS[dataset]

    if split:
        assert [name for name in theirs.classes_split_dict[split] if name != "N/A"] == list(ours.classes)
    else:
        assert [f"{name}.gz" for name in ours.files] == [name for name, _ in theirs.resources]
        assert len(theirs.classes) == len(ours.classes)


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


def test_the_hash_of_a_large_file_is_read_once_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "CACHED_FROM_BYTES", 5)
    monkeypatch.setattr(sources, "DEFAULT_ROOT", tmp_path / "cache")
    reads = []
    digest = sources._digest
    monkeypatch.setattr(sources, "_digest", lambda path: reads.append(path) or digest(path))
    path = tmp_path / "large"

    path.write_bytes(b"content")
    assert sha256(path) == sha256(path) == hashlib.sha256(b"content").hexdigest()
    assert len(reads) == 1
    path.write_bytes(b"changed!")
    assert sha256(path) == hashlib.sha256(b"changed!").hexdigest()
    (tmp_path / "cache" / "sha256.json").write_bytes(b"damaged")
    assert sha256(path) == hashlib.sha256(b"changed!").hexdigest()
