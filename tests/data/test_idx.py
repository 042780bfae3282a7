import gzip
import os
import struct
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.common.errors import UsageError
from src.data.idx import CHUNK_BYTES, read_idx, read_pair, write_idx
from tests.faults.idx import bomb, read_idx_file

HEADER = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3])
VALUES = bytes([1, 2, 3, 4, 5, 6])


def test_values_come_back_in_row_major_order(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(HEADER + VALUES)

    assert read_idx(tmp_path / "file").tolist() == [[1, 2, 3], [4, 5, 6]]


def test_a_written_file_has_the_published_layout(tmp_path: Path) -> None:
    write_idx(tmp_path / "file", torch.tensor([[1, 2, 3], [4, 5, 6]], dtype=torch.uint8))

    assert (tmp_path / "file").read_bytes() == HEADER + VALUES


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not an IDX file"),
        (b"\x89PNG\r\n", "not an IDX file"),
        (bytes([0, 0, 0x0D, 1, 0, 0, 0, 1, 0, 0, 0, 0]), "not an IDX file of integers"),
        (bytes([0, 0, 8, 0]), "not an IDX file"),
        (HEADER[:9], "truncated inside its header"),
        (HEADER + VALUES[:-1], "promises 6 bytes of values, it has 5"),
        (HEADER + VALUES + b"x", "bytes after its end"),
        (bytes([0, 0, 8, 1]) + b"\xff" * 4, "is truncated"),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12, "impossible dimensions"),
        (bytes([0, 0, 8, 4]) + b"\xff" * 12 + bytes(4), "impossible dimensions"),
    ],
)
def test_a_damaged_file_is_named_with_its_problem(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)

    with pytest.raises(UsageError, match=problem) as error:
        read_idx(path)
    assert str(path) in str(error.value)


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_idx(tmp_path)


def test_a_file_that_becomes_shorter_while_it_is_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, empty = tmp_path / "file", np.empty
    path.write_bytes(bytes([0, 0, 8, 1, 0, 1, 0, 0]) + bytes(65_536))  # more than is read ahead with the header

    def shorten(*words: Any) -> Any:
        os.truncate(path, 50_000)
        return empty(*words)

    monkeypatch.setattr(np, "empty", shorten)
    with pytest.raises(UsageError, match=f"{path} became shorter while it was read: start again when it is complete"):
        read_idx(path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("dimensions", [1, 3])
def test_a_promise_of_values_takes_no_memory(tmp_path: Path, pack: Callable[[bytes], bytes], dimensions: int) -> None:
    path = tmp_path / ("file.gz" if pack is gzip.compress else "file")
    path.write_bytes(pack(bytes([0, 0, 8, dimensions]) + b"\xff" * 4 * dimensions + b"x"))
    with pytest.raises(UsageError):
        read_idx_file(path, memory_map=False)


@pytest.mark.parametrize("memory_map", [False, True])
def test_a_file_of_no_values_keeps_its_shape(tmp_path: Path, memory_map: bool) -> None:
    (tmp_path / "file").write_bytes(bytes([0, 0, 8, 2]) + bytes(7) + b"\3")

    assert read_idx(tmp_path / "file", memory_map).shape == (0, 3)


@pytest.mark.parametrize("flip", range(12))
def test_a_flipped_header_bit_never_reads_past_the_end(tmp_path: Path, flip: int) -> None:
    content = bytearray(HEADER + VALUES)
    content[flip] ^= 1 << (flip % 8)
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UsageError):
        read_idx(tmp_path / "file")


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ((60_000, 4_000_000), "has 60,000 images but .* 4,000,000 labels"),
        ((4_000_000, 60_000), "has 4,000,000 images but .* 60,000 labels"),
        ((2**32 - 1, 2**32 - 1), "images.gz promises 3,367,254,359,280 bytes, more than this machine's memory"),
    ],
)
def test_headers_are_compared_before_anything_is_unpacked(tmp_path: Path, sizes: tuple[int, int], says: str) -> None:
    images, labels = bomb(tmp_path / "images.gz", sizes[0], 28, 28), bomb(tmp_path / "labels.gz", sizes[1])
    tracemalloc.start()
    with pytest.raises(UsageError, match=says):
        read_pair(images, labels, "MNIST")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < CHUNK_BYTES


def test_images_are_not_unpacked_for_labels_that_are_cut_off(tmp_path: Path) -> None:
    images, labels = bomb(tmp_path / "images.gz", 80_000, 28, 28), tmp_path / "labels.gz"
    labels.write_bytes(gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 80_000) + bytes(3)))
    tracemalloc.start()
    with pytest.raises(UsageError, match=f"{labels} is truncated: .* promises 80,000 bytes of values, it has 3"):
        read_pair(images, labels, "MNIST")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 4 * CHUNK_BYTES


def test_what_no_memory_holds_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.data.idx.memory_bytes", lambda: 10**9)
    path = bomb(tmp_path / "images.gz", 2_000_000, 28, 28)
    tracemalloc.start()
    with pytest.raises(UsageError, match=f"{path} promises 1,568,000,000 bytes, more than this machine's memory"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < CHUNK_BYTES


@pytest.mark.skipif(sys.platform != "linux", reason="a file of mostly nothing would fill other systems' disks")
def test_a_file_larger_than_the_memory_is_mapped(tmp_path: Path) -> None:
    size = 2 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    header = struct.pack(">4BII", 0, 0, 8, 2, size // 1024, 1024)
    with (tmp_path / "images").open("wb") as file:
        file.write(header)
        file.truncate(len(header) + size // 1024 * 1024)

    assert read_idx(tmp_path / "images", memory_map=True)[-1].equal(torch.zeros(1024, dtype=torch.uint8))


@pytest.mark.parametrize("name", ["images.gz", "labels.gz"])
def test_a_pipe_in_place_of_compressed_values_is_named(tmp_path: Path, name: str) -> None:
    bomb(tmp_path / "images.gz", 4, 28, 28)
    bomb(tmp_path / "labels.gz", 4)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match=f"{name} cannot be read"):
        read_pair(tmp_path / "images.gz", tmp_path / "labels.gz", "MNIST")
