"""What ``benchmarks/fuzz.py`` gives to the readers: Hypothesis strategies of IDX files, configs and checkpoints."""

import contextlib
import gzip
import io
import json
import math
import os
import pickle
import struct
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from hypothesis import strategies as st
from PIL import Image, ImageDraw

CONFIG = Path(__file__).parents[1] / "configs" / "mlp.yaml"
MARK = Path("executed")  # what code in a file would make in the working folder


# --- damage, to bytes and to nested values


@st.composite
def torn(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes with bits flipped and parts cut off, cut out, repeated or overwritten."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        if not content:
            break
        here = draw(st.integers(0, len(content) - 1))
        there = draw(st.integers(here, min(here + 64, len(content))))
        match draw(st.sampled_from(["flip", "cut off", "cut out", "repeat", "overwrite"])):
            case "flip":
                content[here] ^= 1 << draw(st.integers(0, 7))
            case "cut off":
                del content[here:]
            case "cut out":
                del content[here:there]
            case "repeat":
                content[here:here] = content[here:there]
            case _:
                content[here:there] = draw(st.binary(max_size=16))
    return bytes(content)


def places(whole: Any) -> list[tuple[Any, Any]]:
    """Find every value of nested dicts and lists, as its container and its key or position there."""
    found, waiting, seen = [], [whole], set()
    while waiting:
        part = waiting.pop()
        keys = list(part) if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
        if id(part) not in seen:  # it may hold itself
            found += [(part, key) for key in keys]
            waiting += [part[key] for key in keys]
        seen.add(id(part))
    return found


@st.composite
def changed(draw: st.DrawFn, build: Callable[[], Any], values: st.SearchStrategy[Any]) -> Any:
    """Nested dicts and lists with some values replaced, dropped, added, or taken from elsewhere in them."""
    content = build()
    for _ in range(draw(st.integers(1, 3))):
        spots = places(content)
        if not spots:
            break
        container, key = spots[draw(st.integers(0, len(spots) - 1))]
        match draw(st.sampled_from(["replace", "replace", "drop", "add", "take"])):
            case "replace":
                container[key] = draw(values)
            case "drop":
                del container[key]
            case "add" if isinstance(container, dict):
                container[draw(names)] = draw(values)
            case "add":
                container.append(draw(values))
            case _:
                other, place = spots[draw(st.integers(0, len(spots) - 1))]
                with contextlib.suppress(LookupError):  # dropped before
                    container[key] = other[place]
    return content


names = st.one_of(st.text(max_size=8), st.sampled_from(["", "__class__", "lr", "reset", "state", "a.b", "class_path"]))
numbers = st.one_of(
    st.integers(-3, 3),
    st.integers(0, 30),
    st.integers(0, 2**53),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([2**31, 2**53, 2**63, -(2**63) - 1, 10**30, 1e308, math.nan, math.inf, -math.inf]),
)
words = st.one_of(
    st.text(max_size=12), st.sampled_from(["", "../../x", "unit", "last", "\x1b[2J", "a\nb", "x" * 5_000])
)
plain_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=5,
)


# --- IDX files

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


# --- configs

SNIPPETS = [
    "!!python/object/apply:os.mkdir [executed]",
    "!!python/object/new:os.mkdir [executed]",
    "!!python/name:os.system",
    "!!python/tuple [8]",
    "!!binary aGVsbG8=",
    "!!binary '%'",
    "!!timestamp x",
    "!!timestamp 2020-99-99",
    "2020-01-01",
    "!!int x",
    "!!float x",
    "!!bool maybe",
    "!!null x",
    "!!set {a, b}",
    "!!omap [a: 1]",
    "!!pairs [a: 1]",
    "!!str [a]",
    "!!map [a]",
    "!unknown 3",
    "0x_",
    "0b_",
    "0x" + "f" * 5_000,
    "1" * 5_000,
    "1:30:00",
    "1e999999",
    ".nan",
    ".inf",
    "&a [*a]",
    "&a {a: *a}",
    "*nowhere",
    "[" * 500 + "]" * 500,
    "[" * 50_000,
    "{a: " * 3_000 + "}" * 3_000,
    "[&a [x, x], &b [*a, *a], &c [*b, *b], *c]",
    "{<<: [{a: 1}, {b: 2}]}",
    "{[1]: 2}",
    "{? {a: 1} : 2}",
    "|\n    text\n",
    "'\\x00'",
    '"\\ud800"',
    '"\\0"',
    "\t",
    "%TAG ! x",
    "{class_path: os.mkdir, init_args: {path: executed}}",
    "[{class_path: os.mkdir, init_args: {path: executed}}]",
    "[{class_path: EarlyStopping, init_args: {monitor: [1]}}]",
    "[EarlyStopping, {class_path: Timer}]",
    "{class_path: nowhere.Class}",
    "{class_path: 3}",
    "[8, 8]",
    "[0.1, 0.2]",
]


snippets = st.integers(0, len(SNIPPETS) - 1).map(SNIPPETS.__getitem__)


def laughs(depth: int) -> str:
    """Return YAML of a few lines whose aliases stand for 10 ** depth values."""
    lines = ["a0: &a0 [" + ", ".join(["x"] * 10) + "]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, depth)]
    return "\n".join([*lines, "model:", f"  hidden_units: *a{depth - 1}", ""])


def configs(config: dict[str, Any]) -> st.SearchStrategy[bytes | str]:
    """Configs as bytes: damaged ones, strange values at the places of real ones, anything at all; and flags as text.

    Args:
        config: A complete config.
    """
    whole = yaml.safe_dump(config)
    parts = [(part, name) for part, settings_ in config.items() if isinstance(settings_, dict) for name in settings_]
    strange = st.builds(
        lambda place, value: f"{place[0]}:\n  {place[1]}: {value}\n".encode(errors="surrogatepass"),
        st.sampled_from(parts),
        snippets,
    )
    flags = st.builds(
        lambda place, value: f"--{place[0]}.{place[1]}={value}", st.sampled_from(parts), st.one_of(snippets, words)
    )
    build = lambda: yaml.safe_load(whole)  # noqa: E731
    return st.one_of(
        flags,
        strange,
        strange.flatmap(torn),
        changed(build, plain_values).map(lambda value: yaml.safe_dump(value, allow_unicode=True).encode()),
        torn(whole.encode()),
        torn(CONFIG.read_bytes()),
        snippets.map(lambda text: text.encode()),
        st.integers(1, 12).map(lambda depth: laughs(depth).encode()),
        st.text(max_size=60).map(lambda text: text.encode()),
        st.binary(max_size=60),
    )


# --- notes of run folders


def dumped(value: Any) -> bytes:
    """Return a value as JSON, or half of some where it holds itself."""
    with contextlib.suppress(ValueError):
        return json.dumps(value, default=str).encode()
    return b'{"epochs": ['


result = {"epochs": [{"epoch": 1, "val/acc": 0.5}], "data": {"sha256": {"a": "b"}}, "best": None}
job = {"command": "fit", "torchrun": "", "slurm": "", "since": 1.0}
objects = st.sampled_from([result, job, {"token": "x"}, {"CSVLogger": [0]}, {}])
whole_notes = objects.map(json.dumps).map(str.encode)
notes = st.one_of(
    whole_notes,
    whole_notes.flatmap(torn),
    objects.flatmap(lambda content: changed(lambda: json.loads(json.dumps(content)), plain_values)).map(dumped),
    st.integers(1, 200_000).map(lambda depth: b"[" * depth),
    st.integers(1, 10_000).map(lambda digits: b"9" * digits),
    st.binary(max_size=80),
)


# --- pictures


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


# --- checkpoints


class Payload:
    """Makes a folder in whoever unpickles it as pickle allows."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def deep(levels: int) -> list[Any]:
    """Return lists in lists."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def endless() -> dict[str, Any]:
    """Return a dict that holds itself."""
    value: dict[str, Any] = {}
    value["model"] = value
    return value


ODDITIES: list[Callable[[], Any]] = [
    lambda: Payload(os.mkdir, str(MARK)),
    lambda: Payload(exec, f"import os; os.mkdir({str(MARK)!r})"),
    lambda: Payload(os.system, f"mkdir {MARK}"),
    lambda: Payload(bytearray, 2**40),
    lambda: Payload(bytearray, 2**31),
    lambda: Payload(torch.Tensor, 2**20, 2**20),
    lambda: Payload(torch.FloatTensor, 2**29),
    lambda: Payload(Counter, dict.fromkeys(range(99), 1)),
    lambda: "9" * 5_000,
    lambda: [1] * 20_000,
    lambda: torch.zeros((2,) * 16),
    lambda: 16**4_000,
    lambda: {16**4_000: 16**4_000},
    lambda: deep(200),
    endless,
    OrderedDict,
    lambda: {1, 2},
    lambda: b"bytes",
    lambda: ("a", "tuple"),
    lambda: 1j,
    lambda: torch.zeros(3),
    lambda: torch.tensor(-1),
    lambda: torch.tensor(math.nan),
    lambda: torch.zeros(()).expand(2**40, 2**20),
    lambda: torch.zeros(()).expand(4, 784),
    lambda: torch.zeros(()).expand(4),
    lambda: torch.ones(4, 784, requires_grad=True),
    lambda: torch.nn.Parameter(torch.ones(4, 784)),
    lambda: torch.full((4, 784), 1e38),
    lambda: torch.zeros(784, 4).T,
    lambda: torch.zeros(4, 784).to_sparse(),
    lambda: torch.zeros(4, 784, dtype=torch.complex64),
    lambda: torch.zeros(4, 784, device="meta"),
    lambda: torch.zeros(4, 784, dtype=torch.float64),
    lambda: torch.float64,
    lambda: [{"batches_done": -1}],
    lambda: [{"epoch": 1, "seconds": 1.0}] * 2,
]
oddities = st.integers(0, len(ODDITIES) - 1).map(lambda number: ODDITIES[number]())


def saved(content: Any) -> bytes:
    """Return what torch.save writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def with_pickle(whole: bytes, change: Callable[[bytes], bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Change the pickle in a checkpoint and make the checksums right again."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(buffer, "w", compression) as new:
        for part in old.infolist():
            content = old.read(part)
            new.writestr(part.filename, change(content) if part.filename.endswith("data.pkl") else content)
    return buffer.getvalue()


def checkpoints(wholes: list[bytes]) -> st.SearchStrategy[bytes]:
    """Checkpoints as bytes: damaged ones, ones with strange values anywhere in them, and ones that would run code.

    Args:
        wholes: Real ones.
    """

    def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
        build = lambda: torch.load(io.BytesIO(whole), weights_only=True)  # noqa: E731
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            content = next(archive.read(part) for part in archive.infolist() if part.filename.endswith("data.pkl"))
        values = changed(build, st.one_of(plain_values, oddities)).map(saved)
        return st.one_of(
            torn(whole),
            torn(content).map(lambda pickled: with_pickle(whole, lambda _: pickled)),
            values,
            values,
            values,
            oddities.map(lambda value: with_pickle(whole, lambda _: pickle.dumps(value, protocol=2))),
            st.just(with_pickle(whole, lambda pickled: pickled + bytes(1 << 20), zipfile.ZIP_DEFLATED)),
        )

    return st.one_of(
        st.sampled_from(wholes).flatmap(damaged),
        oddities.map(pickle.dumps),
        oddities.map(saved),
        st.binary(max_size=80),
    )
