"""Read, map and write IDX files, the format in which MNIST and its family are distributed.

The format (http://yann.lecun.com/exdb/mnist): two zero bytes, a type code (0x08 = unsigned byte, 0x0C = 32-bit
integer), the number of dimensions, each dimension as a big-endian 32-bit integer, then the values in row-major order,
big-endian as well.
"""

import gzip
import math
import struct
import zlib
from io import BufferedIOBase
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from src.common.errors import UsageError
from src.common.files import write_atomic

UNSIGNED_BYTE, INTEGER = 0x08, 0x0C
ITEM_BYTES = {UNSIGNED_BYTE: 1, INTEGER: 4}
MAX_DIMENSIONS = 8
LARGEST_TENSOR = (1 << 63) - 1
CHUNK_BYTES = 1 << 20


def read_idx(path: Path, memory_map: bool = False) -> Tensor:
    """Read an IDX file, plain or compressed (``.gz``).

    Never takes more memory than the values that the file really holds, whatever its header promises.

    Args:
        path: The file.
        memory_map: Leave the values on the disk and let the operating system bring in the pages that are used; only
            for plain files of unsigned bytes. The tensor must not be written to.

    Returns:
        A tensor with the dimensions that the header states; uint8, or int32 for 32-bit integers.

    Raises:
        UsageError: If the file cannot be read, is no IDX file of these types, is shorter or longer than its header
            promises, or cannot be mapped.
    """
    compressed = path.suffix == ".gz"
    try:
        with cast(BufferedIOBase, gzip.open(path)) if compressed else path.open("rb") as file:
            kind, shape = _read_header(file, path)
            size = math.prod(shape) * ITEM_BYTES[kind]
            start = file.tell()
            if compressed:
                values = _read_at_most(file, size + 1)
                found = len(values)
            else:
                found = path.stat().st_size - start
            if found != size:
                problem = "is truncated" if found < size else "has bytes after its end"
                raise UsageError(
                    f"{path} {problem}: its header promises {size:,} bytes of values, it has "
                    f"{'more' if compressed and found > size else f'{found:,}'}; replace it with a complete copy."
                )
            if memory_map:
                if compressed or kind != UNSIGNED_BYTE:
                    raise UsageError(f"{path} cannot be memory-mapped: unpack it, or use --data.memory_map false.")
                return torch.from_file(str(path), shared=False, size=start + size, dtype=torch.uint8)[start:].view(
                    shape
                )
            if not compressed:
                tensor = torch.empty(size, dtype=torch.uint8)  # its promise is kept: the file has as much
                if file.readinto(tensor.numpy().data) != size:
                    raise UsageError(f"{path} became shorter while it was read: start again when it is complete.")
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "its compression is damaged"
        raise UsageError(f"{path} cannot be read ({reason}): put a readable IDX file there.") from error
    if size == 0:
        return torch.empty(shape, dtype=torch.uint8 if kind == UNSIGNED_BYTE else torch.int32)
    if compressed:
        tensor = torch.frombuffer(values, dtype=torch.uint8)
    if kind == INTEGER:  # big-endian in the file
        tensor = tensor.view(-1, 4).flip(1).contiguous().view(torch.int32)
    return tensor.view(shape)


def _read_header(file: BufferedIOBase, path: Path) -> tuple[int, tuple[int, ...]]:
    """Return the type code and the dimensions."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in ITEM_BYTES or not 0 < magic[3] <= MAX_DIMENSIONS:
        raise UsageError(f"{path} is not an IDX file of unsigned bytes: replace it with the original.")
    dimensions = file.read(4 * magic[3])
    if len(dimensions) < 4 * magic[3]:
        raise UsageError(f"{path} is truncated inside its header: replace it with a complete copy.")
    shape = struct.unpack(f">{magic[3]}I", dimensions)
    if math.prod(max(size, 1) for size in shape) > LARGEST_TENSOR:  # of no values, if one dimension is 0
        raise UsageError(f"{path} has a header with impossible dimensions: replace it with the original.")
    return magic[2], shape


def _read_at_most(file: BufferedIOBase, size: int) -> bytearray:
    """Read up to ``size`` bytes, growing with what is there: a header's promise alone must not take memory."""
    values = bytearray()
    while len(values) < size:
        chunk = file.read(min(size - len(values), max(CHUNK_BYTES, len(values))))
        if not chunk:
            break
        values += chunk
    return values


def write_idx(path: Path, values: Tensor) -> None:
    """Write a uint8 tensor as an IDX file, atomically.

    Args:
        path: The file to write.
        values: A uint8 tensor with at least one dimension.

    Raises:
        OSError: If the file cannot be written.
    """
    header = struct.pack(f">BBBB{values.dim()}I", 0, 0, UNSIGNED_BYTE, values.dim(), *values.shape)
    write_atomic(path, header + values.contiguous().numpy().tobytes())
