"""Safe loading of a checkpoint: the file cannot run code, hang the program or take more memory than its size.

``torch.load(weights_only=True)`` limits which code a pickle can run, but not how much memory it takes: a few bytes can
allocate gigabytes, or make a tensor of 10**10 elements over one number. So the pickle is checked before torch loads it.
"""

import hashlib
import io
import pickle
import pickletools
import reprlib
import zipfile
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from src.common.errors import UsageError
from src.common.files import open_regular

MAGIC = b"PK\x03\x04"  # the first bytes of an archive
PROTOCOL = 2  # of torch.save's pickles; in later protocols an instruction can allocate any number of bytes
MOST_INSTRUCTIONS, MOST_BYTES = 1_000_000, 8 << 20  # of a pickle, which has the names and numbers but no weights
MOST_TENSORS, MOST_VALUES, DEEPEST, MOST_DIMENSIONS = 10_000, 1_000_000, 50, 8  # of the loaded object
STORAGES = {
    "BoolStorage": torch.bool, "ByteStorage": torch.uint8, "CharStorage": torch.int8, "ShortStorage": torch.int16,
    "IntStorage": torch.int32, "LongStorage": torch.int64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "FloatStorage": torch.float32, "DoubleStorage": torch.float64,
    "ComplexFloatStorage": torch.complex64, "ComplexDoubleStorage": torch.complex128,
}  # fmt: skip


class DamagedCheckpointError(UsageError):
    """A file that is not as it was written, or never was a checkpoint."""


class Refused(Exception):  # noqa: N818 - it never leaves this module
    """A file holds something that no checkpoint of this project holds."""


def load_safely(path: Path) -> tuple[Any, str]:
    """Read a file that torch.save wrote.

    Args:
        path: The file; it is opened once, so that the loaded content is the checked content.

    Returns:
        The content (plain Python values, and strided tensors on the CPU that lie within their memory), and the file's
        SHA-256.

    Raises:
        DamagedCheckpointError: If the file is damaged, malicious or not a checkpoint.
    """
    with open_regular(path) as file:
        try:
            archive = zipfile.ZipFile(file)
            _check_entries(archive, file)
            damaged = archive.testzip()  # torch.load does not verify checksums
            if damaged is None:
                _check_pickle(archive)
                file.seek(0)
                content = torch.load(file, map_location="cpu", weights_only=True)
                deque(values(content), maxlen=0)  # raises Refused for too many values
                file.seek(0)
                return content, hashlib.file_digest(file, "sha256").hexdigest()
        except Refused as error:
            raise DamagedCheckpointError(
                f"{path} is not a checkpoint of this project: it has {error}; name another."
            ) from error
        except Exception as error:  # torch and zipfile raise many types for damaged files
            raise DamagedCheckpointError(
                f"{path} is not a readable checkpoint: it is damaged or another kind of file; name another."
            ) from error
    raise DamagedCheckpointError(f"{path} is damaged (the checksum of its part {damaged} is wrong): name another.")


def values(content: Any) -> Iterator[Any]:
    """Yield all values in nested dicts and lists; raise Refused for too many values or levels."""
    waiting, count = [(content, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if depth > DEEPEST or count > MOST_VALUES:
            raise Refused("too many values, or some too deep in others")
        if isinstance(value, dict):
            waiting += [(part, depth + 1) for part in (*value.keys(), *value.values())]
        elif isinstance(value, list | tuple | set):
            waiting += [(part, depth + 1) for part in value]
        else:
            yield value


def _check_entries(archive: zipfile.ZipFile, file: io.BufferedReader) -> None:
    """Refuse an archive that unpacks to more than its size, or that torch may read differently from zipfile."""
    entries, size = archive.infolist(), file.seek(0, io.SEEK_END)
    file.seek(0)
    if file.read(len(MAGIC)) != MAGIC:
        raise Refused("something before its archive, which torch would read instead")
    if sum(entry.file_size for entry in entries) > size or any(entry.compress_type for entry in entries):
        raise Refused("parts that are compressed")
    if len({entry.filename.lower() for entry in entries}) < len(entries) or archive.comment:  # torch ignores the case
        raise Refused("a part twice")


def _check_pickle(archive: zipfile.ZipFile) -> None:
    (name,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if archive.getinfo(name).file_size > MOST_BYTES:
        raise Refused("too many values")
    content = archive.read(name)
    for number, (instruction, argument, _) in enumerate(pickletools.genops(content)):
        if number > MOST_INSTRUCTIONS:
            raise Refused("too many values")
        # an index into the pickle's memo, which Python allocates up to that index
        is_far = "PUT" in instruction.name and isinstance(argument, int) and argument > MOST_INSTRUCTIONS
        if instruction.proto > PROTOCOL or is_far:
            raise Refused(f"the instruction {instruction.name}")
    prefix = name.removesuffix("data.pkl") + "data/"
    storages = {entry.filename.removeprefix(prefix): entry.file_size for entry in archive.infolist()}
    _Outline(content, storages).load()


class _Outline(pickle.Unpickler):
    """Unpickles as torch.load does, but checks each tensor instead of making it."""

    def __init__(self, content: bytes, storages: dict[str, int]) -> None:
        super().__init__(io.BytesIO(content))
        self.storages = storages  # the size of each storage in the archive, in bytes
        self.copied = self.tensors = 0
        self.allowed: dict[str, Callable[..., object]] = {
            "collections.OrderedDict": OrderedDict[Any, Any],
            "collections.Counter": self._copy,
            "builtins.set": self._copy,
            "builtins.complex": complex,
            "torch.Size": self._copy,
            "torch.device": lambda *name: None,
            "torch._utils._rebuild_parameter": lambda data, requires_grad, hooks: None,
            "torch._utils._rebuild_tensor_v2": self._tensor,
        }

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name; torch also allows names that allocate memory or make no plain tensor."""
        kind = getattr(torch, name, None) if module == "torch" else None
        if isinstance(kind, torch.dtype):
            return kind
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if f"{module}.{name}" not in self.allowed:
            raise Refused(f"the name {module}.{name}")
        return self.allowed[f"{module}.{name}"]

    def persistent_load(self, reference: Any) -> int:
        """Return the number of elements of a storage, if the archive holds exactly their bytes."""
        kind, dtype, key, _, elements = reference
        if kind != "storage" or type(elements) is not int or self.storages.get(key) != elements * dtype.itemsize:
            raise Refused("a storage of another size than its part of the file")
        return elements

    def _tensor(self, storage: int, offset: int, shape: Any, stride: Any, *_: object) -> None:
        self.tensors += 1
        last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
        fits = min(offset, *shape, *stride, 0) == 0 and (0 in shape or max(offset + prod(shape), last + 1) <= storage)
        if not fits or len(shape) > MOST_DIMENSIONS or self.tensors > MOST_TENSORS:
            raise Refused("a tensor that is larger than its memory")

    def _copy(self, items: Any = ()) -> dict[Any, Any]:
        """Count copied values, because one long list, copied into many sets, would fill the memory."""
        self.copied += len(items)
        if self.copied > MOST_INSTRUCTIONS:
            raise Refused("too many values")
        return {}


def shown(value: Any) -> str:
    """Return a file's value as short text for a message; to print a tensor of many dimensions would take forever."""
    if isinstance(value, str | int | float | bool | None):
        return reprlib.repr(value)
    return f"a {type(value).__name__}" + (f" of {tuple(value.shape)}" if isinstance(value, Tensor) else "")
