"""Checkpoints as bytes: damaged ones, ones with strange values anywhere in them, and ones that would run code."""

import io
import pickle
import struct
import warnings
import zipfile

import torch
from hypothesis import strategies as st

from tests.faults.checkpoints import CHANGES, FILES, hostile, saved, with_pickle
from tests.faults.damage import changed, plain_values, torn
from tests.faults.pickles import oddities, reprogrammed

NAMES = [
    "data.pkl",
    "DATA.PKL",
    "archive/data.pkl",
    "../data.pkl",
    "/data.pkl",
    "archive/data/0",
    "a" * 70_000,
    "\udcff",
]
SIGNATURES = [b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\7\x08"]  # of the parts of an archive
KINDS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@st.composite
def rezipped(draw: st.DrawFn, whole: bytes) -> bytes:
    """A checkpoint whose archive has other parts, or says something else about them."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        parts = [(part.filename, archive.read(part), zipfile.ZIP_STORED) for part in archive.infolist()]
    for _ in range(draw(st.integers(0, 2))):
        here, there = draw(st.integers(0, len(parts) - 1)), draw(st.integers(0, len(parts) - 1))
        name, content, kind = parts[here]
        match draw(st.sampled_from(["rename", "repeat", "leave out", "exchange", "compress", "grow"])):
            case "rename":
                other = st.sampled_from([*NAMES, name.upper(), f"x{name}", parts[there][0]])
                parts[here] = draw(other).encode(errors="replace").decode()[:60_000], content, kind
            case "repeat":
                parts.append(parts[here])
            case "leave out" if len(parts) > 1:
                del parts[here]
            case "compress":
                parts[here] = name, content, draw(st.sampled_from(KINDS))
            case "grow":
                parts[here] = name, content + bytes(draw(st.sampled_from([1, 1 << 16, 8 << 20]))), zipfile.ZIP_DEFLATED
            case _:
                parts[here] = name, parts[there][1], kind
    file = io.BytesIO()
    with (
        warnings.catch_warnings(action="ignore"),
        zipfile.ZipFile(file, "w") as archive,
    ):  # of a name that is there twice
        archive.comment = draw(st.sampled_from([b"", b"", b"", b"comment", b"PK\5\6" + bytes(18)]))
        for name, content, kind in parts:
            archive.writestr(name, content, kind)
    damaged = bytearray(file.getvalue())
    for _ in range(draw(st.integers(0, 2))):  # a field of a header
        signature = draw(st.sampled_from(SIGNATURES))
        starts = [place for place in range(len(damaged)) if damaged.startswith(signature, place)]
        if starts:
            place = draw(st.sampled_from(starts)) + draw(st.integers(4, 46))
            value = draw(st.sampled_from([0, 1, 8, 0xFFFF, 0xFFFFFFFF, len(damaged), 1 << 31]))
            field = struct.pack("<I", value)[: draw(st.sampled_from([2, 4]))]
            damaged[place : place + len(field)] = field
    return draw(st.sampled_from([b"", b"", b"", b"x", b"PK\3\4", pickle.dumps({}, 2)])) + bytes(damaged)


def checkpoints(wholes: list[bytes]) -> st.SearchStrategy[bytes]:
    """Checkpoints.

    Args:
        wholes: Real ones.
    """

    def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
        build = lambda: torch.load(io.BytesIO(whole), weights_only=True)  # noqa: E731
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            content = next(archive.read(part) for part in archive.infolist() if part.filename.endswith("data.pkl"))
        values = changed(build, st.one_of(plain_values, oddities)).map(saved)
        pickles = st.one_of(torn(content), reprogrammed(content), oddities.map(lambda value: pickle.dumps(value, 2)))
        return st.one_of(
            torn(whole),
            rezipped(whole),
            rezipped(whole),
            pickles.map(lambda pickled: with_pickle(whole, lambda _: pickled)),
            pickles.map(lambda pickled: with_pickle(whole, lambda _: pickled)),
            values,
            values,
            values,
            st.sampled_from([*CHANGES, *FILES]).map(lambda name: hostile(name, whole)),
            st.just(with_pickle(whole, lambda pickled: pickled + bytes(1 << 20), zipfile.ZIP_DEFLATED)),
        )

    return st.one_of(
        st.sampled_from(wholes).flatmap(damaged),
        st.sampled_from(wholes).flatmap(damaged),
        st.sampled_from(wholes).flatmap(damaged),
        oddities.map(pickle.dumps),
        oddities.map(saved),
        st.binary(max_size=80),
    )
