import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks.fuzz import read_idx_file
from src.common.errors import UsageError
from src.data.idx import read_idx, write_idx

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
        (bytes([0, 0, 0x0D, 1, 0, 0, 0, 1, 0, 0, 0, 0]), "not an IDX file of unsigned bytes"),
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
