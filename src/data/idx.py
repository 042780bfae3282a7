"""Read and write IDX files, the format in which MNIST and its family are distributed.

The format (http://yann.lecun.com/exdb/mnist): two zero bytes, a type code (0x08 = unsigned byte), the number of
dimensions, each dimension as a big-endian 32-bit integer, then the values in row-major order.
"""

import math
import struct
from pathlib import Path

import torch
from torch import Tensor

from src.errors import UsageError
from src.files import write_atomic

UNSIGNED_BYTE = 0x08


def read_idx(path: Path) -> Tensor:
    """Read an IDX file of unsigned bytes.

    Args:
        path: The file.

    Returns:
        A uint8 tensor with the dimensions that the header states.

    Raises:
        UsageError: If the file cannot be read, is no IDX file of unsigned bytes, or is shorter or longer than its
            header promises.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): put a readable IDX file there.") from error
    if len(content) < 4 or content[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        raise UsageError(f"{path} is not an IDX file of unsigned bytes: replace it with the original, unpacked.")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if dimensions == 0 or len(content) < start:
        raise UsageError(f"{path} is truncated inside its header: replace it with a complete copy.")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    expected = start + math.prod(shape)
    if len(content) != expected:
        problem = "is truncated" if len(content) < expected else "has bytes after its end"
        raise UsageError(
            f"{path} {problem}: its header promises {expected:,} bytes, it has {len(content):,}; "
            "replace it with a complete copy."
        )
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=start).view(shape)


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
