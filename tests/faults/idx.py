"""IDX files: sound, damaged, and such as promise what they do not have."""

import gzip
import math
import struct
import tracemalloc
from functools import partial
from pathlib import Path

from hypothesis import strategies as st

from src.data.idx import CHUNK_BYTES, read_idx
from tests.faults.damage import torn

dimensions = st.lists(st.one_of(st.integers(0, 5), st.integers(0, 2**32 - 1)), min_size=0, max_size=9)
headers = st.builds(
    lambda zeros, kind, sizes: zeros + bytes([kind, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes),
    st.sampled_from([b"\0\0", b"\0\1", b"\x1f\x8b"]),
    st.sampled_from([8, 12, 0, 9, 255]),
    dimensions,
)


@st.composite
def valid_idx(draw: st.DrawFn) -> bytes:
    """A file whose values are as many as its header says."""
    kind = draw(st.sampled_from([8, 12]))
    sizes = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    size = math.prod(sizes) * (1 if kind == 8 else 4)
    return (
        bytes([0, 0, kind, len(sizes)])
        + struct.pack(f">{len(sizes)}I", *sizes)
        + draw(st.binary(min_size=size, max_size=size))
    )


contents = st.one_of(
    st.binary(max_size=64),
    st.builds(bytes.__add__, headers, st.binary(max_size=150)),
    valid_idx(),
    valid_idx().flatmap(torn),
)
packed = contents.map(partial(gzip.compress, mtime=0))
idx_files = st.one_of(
    st.tuples(st.just("file"), contents, st.booleans()),
    st.tuples(st.just("file.gz"), st.one_of(packed, packed.flatmap(torn)), st.booleans()),
)
"""The file's name, its content, and whether to map it."""


def read_idx_file(path: Path, memory_map: bool) -> None:
    """Read an IDX file, which must hold what its header says, in no more memory than it has bytes."""
    tracemalloc.start()
    try:
        values = read_idx(path, memory_map)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * CHUNK_BYTES
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    start = 4 + 4 * content[3]
    assert content[:2] == bytes(2)
    assert values.shape == struct.unpack(f">{content[3]}I", content[4:start])
    assert values.flatten().numpy().astype(">u1" if content[2] == 8 else ">i4").tobytes() == content[start:]


def bomb(path: Path, *shape: int) -> Path:
    """A compressed file whose header promises much, with the first of it there."""
    header = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    path.write_bytes(gzip.compress(header + bytes(64 * CHUNK_BYTES), 1))
    return path
