"""Pictures: damaged, and JPEGs with segments, EXIF data and scans put in."""

import io
import struct
from typing import Any

from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tests.faults.damage import torn


def encoded(kind: str, **options: Any) -> bytes:
    """Return a seven in black on white as a file."""
    page = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(page).line([(20, 16), (44, 16), (28, 50)], "black", 5)
    file = io.BytesIO()
    page.save(file, kind, **options)
    return file.getvalue()


FILES = [encoded(kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO", "TGA")]


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
        count = draw(st.sampled_from([len(tags), 0, 65_535]))
        exif = (
            b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", count) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
        )
        content = content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:]
    scan = content[content.rindex(b"\xff\xda") : -2]
    content = content[:-2] + scan * draw(st.sampled_from([0, 0, 1, 20, 85, 200, 2_000])) + content[-2:]
    for _ in range(draw(st.integers(0, 3))):
        kind, length = draw(st.integers(0, 255)), draw(st.one_of(st.none(), st.integers(0, 65_535)))
        body = draw(st.binary(max_size=30))
        content = (
            content[:2]
            + bytes([255, kind])
            + struct.pack(">H", len(body) + 2 if length is None else length)
            + body
            + content[2:]
        )
    return content


pictures = st.one_of(st.sampled_from(FILES).flatmap(torn), jpegs(), jpegs().flatmap(torn), st.binary(max_size=60))
