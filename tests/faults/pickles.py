"""What a pickle in a checkpoint may hold that no checkpoint should."""

import math
import os
import pickletools
from collections import Counter, OrderedDict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st

from tests.faults.checkpoints import Call

MARK = Path("executed")  # what code in a file would make in the working folder


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
    lambda: Call(os.mkdir, str(MARK)),
    lambda: Call(exec, f"import os; os.mkdir({str(MARK)!r})"),
    lambda: Call(os.system, f"mkdir {MARK}"),
    lambda: Call(bytearray, 2**40),
    lambda: Call(bytearray, 2**31),
    lambda: Call(torch.Tensor, 2**20, 2**20),
    lambda: Call(torch.FloatTensor, 2**29),
    lambda: Call(Counter, dict.fromkeys(range(99), 1)),
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

INSTRUCTIONS = [
    *(b"0", b"1", b"2", b"(", b"]", b"}", b")", b"N", b".", b"R", b"b", b"o", b"s", b"u", b"t", b"a", b"e", b"Q"),
    *(b"\x81", b"\x85", b"\x87", b"Pname\n", b"q\x00", b"h\x00", b"h\xff", b"j\xff\xff\xff\xff"),
    *(b"cos\nmkdir\n", b"cbuiltins\nbytearray\n", b"cbuiltins\nset\n", b"ccollections\nCounter\n"),
    *(b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n", b"ctorch\nSize\n", b"ctorch\nTensor\n"),
    *(b"J\xff\xff\xff\x7f", b"K\x01", b"r\x00\x00\x00\x40", b"p99999999999\n", b"\x94", b"\x80\x05", b"\x80\xff"),
    *(b"\x8a\xff" + b"\x7f" * 255, b"\x8b\x00\x00\x00\x7f", b"\x96" + b"\0\0\0\0\1\0\0\0", b"\x95" + b"\xff" * 8),
    *(b"X\x01\0\0\0a", b"X\xff\xff\xff\x7fa", b"U\xff", b"I99\n", b"L" + b"9" * 5_000 + b"L\n", b"Fnan\n", b"Vx\n"),
]


@st.composite
def reprogrammed(draw: st.DrawFn, pickled: bytes) -> bytes:
    """A pickle with instructions put in, left out, repeated or exchanged."""
    places = [place for _, _, place in pickletools.genops(pickled)]
    parts = [pickled[start:end] for start, end in pairwise([*places, len(pickled)])]
    for _ in range(draw(st.integers(1, 4))):
        here, there = draw(st.integers(0, len(parts) - 1)), draw(st.integers(0, len(parts) - 1))
        match draw(st.sampled_from(["put in", "put in", "leave out", "repeat", "exchange"])):
            case "put in":
                parts.insert(here, draw(st.sampled_from(INSTRUCTIONS)))
            case "leave out" if len(parts) > 1:
                del parts[here]
            case "repeat":
                parts[here:here] = parts[here : there + 1][:50]
            case _:
                parts[here], parts[there] = parts[there], parts[here]
    return b"".join(parts)
