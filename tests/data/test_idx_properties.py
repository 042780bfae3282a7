"""No file makes the reader crash, read past its end, or take more memory than the file has."""

import gzip
import math
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from src.data.idx import CHUNK_BYTES, read_idx
from src.errors import UsageError

dimensions = st.lists(st.one_of(st.integers(0, 5), st.integers(0, 2**32 - 1)), min_size=0, max_size=9)
headers = st.builds(
    lambda zeros, kind, sizes: zeros + bytes([kind, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes),
    st.sampled_from([b"\0\0", b"\0\1", b"\x1f\x8b"]),
    st.sampled_from([8, 12, 0, 9, 255]),
    dimensions,
)
contents = st.one_of(st.binary(max_size=64), st.builds(bytes.__add__, headers, st.binary(max_size=150)))
in_a_folder = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@in_a_folder
@given(content=contents, suffix=st.sampled_from(["", ".gz", "damaged.gz"]), mapped=st.booleans())
@example(content=bytes([0, 0, 8, 3]) + b"\xff" * 12 + b"x", suffix="", mapped=False)
@example(content=bytes([0, 0, 8, 3]) + b"\xff" * 12 + b"x", suffix=".gz", mapped=False)
@example(content=bytes([0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 3]), suffix="", mapped=True)
def test_a_file_is_read_whole_or_refused(tmp_path: Path, content: bytes, suffix: str, mapped: bool) -> None:
    path = tmp_path / f"file{suffix}"
    packed = gzip.compress(content) if suffix else content
    path.write_bytes(packed[:-6] if suffix.startswith("damaged") else packed)

    tracemalloc.start()
    try:
        values = read_idx(path, mapped)
    except UsageError as error:
        assert str(path) in str(error)
    else:
        sizes = struct.unpack_from(f">{content[3]}I", content, 4)
        item = 1 if content[2] == 8 else 4
        assert values.shape == sizes
        assert len(content) == 4 + 4 * len(sizes) + math.prod(sizes) * item
        if item == 1:
            assert bytes(values.flatten().tolist()) == content[4 + 4 * len(sizes) :]
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4 * CHUNK_BYTES  # a header may promise 10**80 bytes


@pytest.mark.parametrize("flip", range(12))
def test_a_flipped_header_bit_never_reads_past_the_end(tmp_path: Path, flip: int) -> None:
    content = bytearray(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes(range(6)))
    content[flip] ^= 1 << (flip % 8)
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UsageError):
        read_idx(tmp_path / "file")
