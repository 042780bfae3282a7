"""Pictures: damaged, of sizes that they do not have, and JPEGs with segments, EXIF data and scans put in."""

import io
import random
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tests.faults.damage import torn

EXIF, START_OF_SCAN = 0xE1, b"\xff\xda"
Tag = tuple[int, int, int, int]
"""Its number, its type, how many values it has, and where they are."""


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return a picture as a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def encoded(kind: str, **options: Any) -> bytes:
    """Return a seven in black on white as a file."""
    page = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(page).line([(20, 16), (44, 16), (28, 50)], "black", 5)
    return saved(page, kind, **options)


FILES = [encoded(kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO", "TGA")]


def claiming(width: int, height: int) -> bytes:
    """A PNG file that claims a size, without the pixels."""
    content = bytearray(saved(Image.new("1", (1, 1))))
    content[16:24] = width.to_bytes(4) + height.to_bytes(4)
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    return bytes(content)


def with_segment(jpeg: bytes, kind: int, body: bytes, length: int | None = None) -> bytes:
    """Put a segment at the start of a JPEG; it may say another length than it has."""
    size = len(body) + 2 if length is None else length
    return jpeg[:2] + bytes([255, kind]) + struct.pack(">H", size) + body + jpeg[2:]


def with_exif(jpeg: bytes, tags: Sequence[Tag], count: int | None = None) -> bytes:
    """Put EXIF tags into a JPEG; it may say another count than there are."""
    head = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(tags) if count is None else count)
    return with_segment(jpeg, EXIF, head + b"".join(struct.pack("<HHII", *tag) for tag in tags))


def with_scans(jpeg: bytes, number: int) -> bytes:
    """Repeat the last scan of a JPEG at its end."""
    return jpeg[:-2] + jpeg[jpeg.rindex(START_OF_SCAN) : -2] * number + jpeg[-2:]


def paper_with_scans(number: int, size: int = 4_096) -> bytes:
    """A progressive JPEG of paper with empty scans at its end."""
    return with_scans(saved(Image.new("L", (size, size), 255), "JPEG", progressive=True), number)


@st.composite
def jpegs(draw: st.DrawFn) -> bytes:
    """A JPEG, perhaps of other sizes than it has, with segments, EXIF tags and scans put in."""
    content = encoded("JPEG", progressive=draw(st.booleans()))
    if draw(st.booleans()):  # the size in its frame's header
        place = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2")) + 5
        sizes = st.sampled_from([0, 1, 63, 65, 500, 4_096, 8_192, 65_535])
        content = content[:place] + struct.pack(">HH", draw(sizes), draw(sizes)) + content[place + 4 :]
    if draw(st.booleans()):
        entries = st.tuples(
            st.integers(0, 65_535), st.integers(0, 13), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)
        )
        tags = [(0x0112, 3, 1, draw(st.integers(0, 9))), *draw(st.lists(entries, max_size=20))]
        content = with_exif(content, tags, draw(st.sampled_from([len(tags), 0, 65_535])))
    content = with_scans(content, draw(st.sampled_from([0, 0, 1, 20, 85, 200, 2_000])))
    for _ in range(draw(st.integers(0, 3))):
        kind, length = draw(st.integers(0, 255)), draw(st.one_of(st.none(), st.integers(0, 65_535)))
        content = with_segment(content, kind, draw(st.binary(max_size=30)), length)
    return content


pictures = st.one_of(st.sampled_from(FILES).flatmap(torn), jpegs(), jpegs().flatmap(torn), st.binary(max_size=60))


def damaged(files: Sequence[tuple[str, bytes]], count: int) -> Iterator[tuple[str, bytes]]:
    """Yield files with bytes changed, cut out, repeated or cut off, and their types; the same ones each time.

    Args:
        files: Sound ones and their types.
        count: How many.
    """
    draw = random.Random(0)
    for _ in range(count):
        kind, file = draw.choice(files)
        for _ in range(draw.randint(1, 6)):
            at, length = draw.randrange(len(file)), draw.randint(1, 16)
            piece = file[at : at + length]
            file = file[:at] + draw.choice((draw.randbytes(length), b"", 2 * piece)) + file[at + length :]
        yield kind, file[: draw.choice((len(file), draw.randrange(len(file))))]
