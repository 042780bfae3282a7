"""Compressed images and labels: members of gzip with whatever their headers may say, and bombs."""

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from src.data.idx import read_pair
from tests.faults.damage import torn

IMAGES, LABELS = Path("images.gz"), Path("labels.gz")
ZEROS = 64 << 20
MANY = gzip.compress(bytes(ZEROS), 9, mtime=0)  # 64 kB
FLAGS = {"checksum": 2, "extra": 4, "name": 8, "comment": 16}


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """Draw what is usual in nine of ten cases, so that a file has few faults at once."""
    return st.integers(0, 10 * len(others)).map(lambda number: others[number] if number < len(others) else usual)


def idx(shape: tuple[int, ...], values: bytes) -> bytes:
    """Return an IDX file of bytes with any values."""
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + values


@st.composite
def members(draw: st.DrawFn, content: bytes) -> bytes:
    """A member of gzip that holds some bytes, or says that it does."""
    flags = draw(mostly(set(), *({flag} for flag in FLAGS), {"extra", "name"}, {"name", "checksum"}))
    bits = sum(FLAGS[flag] for flag in flags) | draw(mostly(0, 1, 32, 64, 128))
    head = b"\x1f\x8b" + bytes([draw(mostly(8, 0, 7)), bits]) + bytes(6)
    if "extra" in flags:
        extra = draw(st.binary(max_size=20))
        head += struct.pack("<H", draw(mostly(len(extra), 0, 65_535))) + extra
    for flag in ("name", "comment"):
        if flag in flags:
            head += draw(st.sampled_from([b"x", b"\x1b[2J\n", b"\xff" * 300, b"y" * 100_000])) + draw(
                mostly(b"\0", b"")
            )
    if "checksum" in flags:
        head += struct.pack("<H", (zlib.crc32(head) & 0xFFFF) ^ draw(mostly(0, 1)))
    strategy = draw(st.sampled_from([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE]))
    packer = zlib.compressobj(draw(st.sampled_from([0, 1, 9])), zlib.DEFLATED, -15, 9, strategy)
    cut = draw(st.integers(0, len(content)))
    body = packer.compress(content[:cut]) + packer.flush(draw(st.sampled_from([zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH])))
    last = draw(mostly(zlib.Z_FINISH, zlib.Z_SYNC_FLUSH))
    body += packer.compress(content[cut:]) + packer.flush(last)
    wrong = draw(mostly(0, 1))
    return head + body + struct.pack("<II", zlib.crc32(content) ^ wrong, (len(content) + wrong) & 0xFFFFFFFF)


@st.composite
def compressed(draw: st.DrawFn, content: bytes) -> bytes:
    """A file of one member or several, with nothing, zeros, another file or gigabytes behind it."""
    cut = draw(mostly(len(content), 0, len(content) // 2))
    file = b"".join(draw(members(part)) for part in (content[:cut], content[cut:]) if part or draw(st.booleans()))
    file += draw(mostly(b"", bytes(9), b"junk", b"\x1f\x8b", MANY * 20))
    return draw(torn(file)) if len(file) < 10_000 and draw(mostly(False, True)) else file


@st.composite
def compressed_pairs(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Files of images and of labels, which may have other counts and sizes than they say, and than each other."""
    count = draw(mostly(2, 0, 1, 3))
    said = draw(mostly(count, 0, 1, 100, 1_000_000, ZEROS // 784, 2**32 - 1))
    shape = draw(mostly((said, 28, 28), (said, 28), (said, 29, 28), (said,), (2**32 - 1,) * 4))
    images = idx(shape, draw(st.sampled_from([bytes(784), bytes(range(256)) * 3 + bytes(16)])) * count)
    sizes = draw(mostly((said,), (count,), (said, 8), (said, 1), (2**32 - 1,)))
    labels = idx(sizes, bytes(draw(st.sampled_from([0, 3, 9])) for _ in range(count)) + draw(mostly(b"", b"\x0a")))
    if not draw(st.integers(0, 30)):
        return images_that_say_less(images), draw(compressed(labels))
    return draw(compressed(images)), draw(compressed(labels))


def images_that_say_less(images: bytes) -> bytes:
    """Return a file whose values go on for gigabytes."""
    return gzip.compress(images, mtime=0) + MANY * 30


def read_compressed_pair(images: bytes, labels: bytes) -> None:
    """Read a pair, which must hold what its headers say."""
    IMAGES.write_bytes(images)
    LABELS.write_bytes(labels)
    pixels, numbers = read_pair(IMAGES, LABELS, "MNIST")
    assert gzip.decompress(images)[16:] == pixels.numpy().tobytes()
    assert gzip.decompress(labels)[8:] == numbers.numpy().tobytes()
