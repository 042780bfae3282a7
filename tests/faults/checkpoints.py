"""Checkpoints that were made to do harm: each is a change of a good one, a few kilobytes that ask for much."""

import _codecs
import io
import pickle
import zipfile
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

GIGABYTES = 2 << 30


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function = function
        self.arguments = arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.arguments


def saved(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def with_pickle(whole: bytes, change: Callable[[bytes], bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Change the pickle in a checkpoint and make the checksums right again."""
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as before, zipfile.ZipFile(content, "w", compression) as after:
        for part in before.infolist():
            data = before.read(part)
            after.writestr(part.filename, change(data) if part.filename.endswith("data.pkl") else data)
    return content.getvalue()


def encoded(times: int) -> Any:
    """Text that becomes twice as long with each call."""
    value: Any = Call(_codecs.encode, "a" * 64, "latin1")
    for _ in range(times):
        value = Call(_codecs.encode, value, "hex")
    return value


def laughs(levels: int) -> list[Any]:
    """Lists that hold another one twice: few objects, and 2**levels ways to them."""
    value: list[Any] = [1]
    for _ in range(levels):
        value = [value, value]
    return value


def copies(size: int, times: int) -> list[Any]:
    items = dict.fromkeys(range(size), 1)
    return [Call(Counter, items) for _ in range(times)]


def far_memo(pickled: bytes) -> bytes:
    """Put a value into the pickle's memory at a place for which that must become 16 GB."""
    return pickled[:2] + b"Nr" + (1 << 30).to_bytes(4, "little") + b"0" + pickled[2:]


def huge_storage(pickled: bytes) -> bytes:
    """Let a storage have 200 million elements where its part of the file has 200,704."""
    small, huge = pickle.dumps(200_704, 2)[2:-1], pickle.dumps(200_000_000, 2)[2:-1]
    assert small in pickled
    return pickled.replace(small, huge, 1)


def with_entry(whole: bytes, name: str, content: bytes) -> bytes:
    """Add a part to a checkpoint."""
    file = io.BytesIO(whole)
    with zipfile.ZipFile(file, "a") as archive:
        folder = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{folder}/{name}", content)
    return file.getvalue()


WEIGHT = ("state_dict", "net.linear1.weight")
CONFIG = ("config", "model", "dropout")
CHANGES: dict[str, tuple[tuple[str, ...], Callable[[], Any]]] = {
    "a tensor of 20 dimensions where a number should be": (CONFIG, lambda: torch.zeros((2,) * 20)),
    "an array of 2 GB": (CONFIG, lambda: Call(bytearray, GIGABYTES)),
    "a chain of encodings": (CONFIG, lambda: encoded(24)),
    "a tensor without memory": (WEIGHT, lambda: torch.zeros(()).expand(100_000, 100_000)),
    "a tensor that repeats its memory": (WEIGHT, lambda: torch.zeros(784).expand(10_000_000, 784)),
    "a tensor by its constructor": (WEIGHT, lambda: Call(torch.FloatTensor, GIGABYTES // 4)),
    "a storage by its constructor": (WEIGHT, lambda: Call(torch.UntypedStorage, GIGABYTES)),
    "a sparse tensor": (WEIGHT, lambda: torch.zeros(1).to_sparse()),
    "20,000 layers": (("config", "model", "hidden_units"), lambda: [1] * 20_000),
    "a layer of 8 billion units": (("config", "model", "hidden_units"), lambda: [8_000_000_000]),
    "a number of 100,000 digits": (CONFIG, lambda: 16**80_000),
    "lists that hold each other": (("config", "data", "normalization"), lambda: laughs(60)),
    "the same items in many copies": (("callbacks", "Mine"), lambda: copies(2_000, 10_000)),
}
PICKLES: dict[str, Callable[[bytes], bytes]] = {
    "a far place in the pickle's memory": far_memo,
    "a storage that ends behind its part": huge_storage,
}


FILES: dict[str, Callable[[bytes], bytes]] = {
    "a pickle before the archive": lambda whole: pickle.dumps(Call(bytearray, GIGABYTES), 2) + whole,
    "another pickle in capitals": lambda whole: with_entry(
        whole, "DATA.PKL", pickle.dumps(Call(bytearray, GIGABYTES), 2)
    ),
}


def hostile(name: str, good: bytes) -> bytes:
    """Return a checkpoint that does harm, made of a good one."""
    if name in PICKLES:
        return with_pickle(good, PICKLES[name])
    if name in FILES:
        return FILES[name](good)
    keys, value = CHANGES[name]
    content = torch.load(io.BytesIO(good), weights_only=True)
    put(content, keys, value())
    return saved(content)


def put(content: dict[str, Any], keys: tuple[str, ...], value: Any) -> None:
    """Put a value into a checkpoint's content, in dicts below each other."""
    for key in keys[:-1]:
        content = content[key]
    content[keys[-1]] = value
