"""Read, map, check and write IDX files, the format in which MNIST and its family are distributed.

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
from src.common.files import open_regular, reading, write_atomic
from src.common.system import memory_bytes
from src.data.datasets import DATASETS, DatasetName

UNSIGNED_BYTE, INTEGER = 0x08, 0x0C
ITEM_BYTES = {UNSIGNED_BYTE: 1, INTEGER: 4}
MAX_DIMENSIONS = 8
LARGEST_TENSOR = (1 << 63) - 1
CHUNK_BYTES = 1 << 20
MAP_FROM_BYTES = 1 << 30
IMAGE_SHAPE = (28, 28)


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
        with open_regular(path) as plain, cast(BufferedIOBase, gzip.open(plain) if compressed else plain) as file:
            kind, shape = _read_header(file, path)
            size = math.prod(shape) * ITEM_BYTES[kind]
            start = file.tell()
            if compressed:
                values = _read_at_most(file, size + 1)
                held = len(values)
            else:
                held = path.stat().st_size - start
            if held != size:
                problem = "is truncated" if held < size else "has bytes after its end"
                raise UsageError(
                    f"{path} {problem}: its header promises {size:,} bytes of values, it has "
                    f"{'more' if compressed and held > size else f'{held:,}'}; replace it with a complete copy."
                )
            if memory_map:
                if compressed or kind != UNSIGNED_BYTE:
                    raise UsageError(f"{path} cannot be memory-mapped: unpack it, or use `memory_map` false.")
                return torch.from_file(str(path), shared=False, size=start + size, dtype=torch.uint8)[start:].view(
                    shape
                )
            if not compressed:
                tensor = torch.empty(size, dtype=torch.uint8)  # its promise is kept: the file has as much
                if file.readinto(tensor.numpy().data) != size:
                    raise UsageError(f"{path} became shorter while it was read: start again when it is complete.")
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error
    if size == 0:
        return torch.empty(shape, dtype=torch.uint8 if kind == UNSIGNED_BYTE else torch.int32)
    if compressed:
        tensor = torch.frombuffer(values, dtype=torch.uint8)
    if kind == INTEGER:  # big-endian in the file
        tensor = tensor.view(-1, 4).flip(1).contiguous().view(torch.int32)
    return tensor.view(shape)


def header_of(path: Path) -> tuple[int, tuple[int, ...]]:
    """Return the type code and the dimensions of an IDX file; it fails as ``read_idx`` does."""
    try:
        with (
            open_regular(path) as plain,
            cast(BufferedIOBase, gzip.open(plain) if path.suffix == ".gz" else plain) as file,
        ):
            return _read_header(file, path)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UsageError:
    reason = getattr(error, "strerror", None) or "its compression is damaged"
    return UsageError(f"{path} cannot be read ({reason}): put a readable IDX file there.")


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
    if path.suffix == ".gz" and (size := math.prod(shape) * ITEM_BYTES[magic[2]]) > memory_bytes():
        raise UsageError(f"{path} promises {size:,} bytes, more than this machine's memory: unpack it.")
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


def read_pair(
    images_path: Path, labels_path: Path, dataset: DatasetName, memory_map: bool | None = None
) -> tuple[Tensor, Tensor]:
    """Read images and labels that belong together.

    Args:
        images_path: An IDX file of images, plain or ``.gz``.
        labels_path: An IDX file of their labels, plain or ``.gz``.
        dataset: The data set, which decides the labels.
        memory_map: Map the images instead of reading them; left out, plain files from 1 GiB up are mapped.

    Returns:
        Images ``(N, 28, 28)`` uint8 as they lie in the file; class numbers ``(N,)`` uint8, counted from 0.

    Raises:
        UsageError: If a file is damaged, holds something else, or does not fit the other one or the data set.
    """
    if memory_map is None:
        with reading(images_path):
            memory_map = images_path.suffix != ".gz" and images_path.stat().st_size >= MAP_FROM_BYTES
    images_kind, images_shape = header_of(images_path)  # a few megabytes may unpack to gigabytes
    kind, shape = header_of(labels_path)
    if images_kind != UNSIGNED_BYTE or images_shape[1:] != IMAGE_SHAPE or images_shape[0] == 0:
        raise UsageError(
            f"{images_path} holds {_describe(images_kind, images_shape)}, not images of 28 x 28 unsigned bytes: "
            "put the file of the images there."
        )
    is_qmnist = len(shape) == 2 and kind == INTEGER and shape[1] > 0  # the class, then who wrote it and where
    if len(shape) != 1 and not is_qmnist:
        raise UsageError(
            f"{labels_path} holds {_describe(kind, shape)}, not one class number per image: write the numbers instead."
        )
    if shape[0] != images_shape[0]:
        raise UsageError(
            f"{images_path} has {images_shape[0]:,} images but {labels_path} {shape[0]:,} labels: "
            "replace the one that does not belong."
        )
    labels = read_idx(labels_path)  # first, as they are the smaller file, which says that the other one is not needed
    if is_qmnist:
        labels = labels[:, 0]
    first = DATASETS[dataset].first_label
    last = first + len(DATASETS[dataset].classes) - 1
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < first or highest > last:
        wrong = lowest if lowest < first else highest
        raise UsageError(
            f"{labels_path} has the label {wrong}: the classes of {dataset} go from {first} to {last}; "
            "name the data set that the labels belong to with `dataset`."
        )
    return read_idx(images_path, memory_map), (labels - first).to(torch.uint8)


def _describe(kind: int, shape: tuple[int, ...]) -> str:
    sizes = " x ".join(f"{size:,}" for size in shape)
    return "nothing" if 0 in shape else f"{sizes} {'bytes' if kind == UNSIGNED_BYTE else 'integers'}"
