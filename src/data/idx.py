"""Read, map, check and write IDX files, the format in which MNIST and its family are distributed.

The format (http://yann.lecun.com/exdb/mnist): two zero bytes, a type code (0x08 = unsigned byte, 0x0C = 32-bit
integer), the number of dimensions, each dimension as a big-endian 32-bit integer, then the values in row-major order,
big-endian as well.
"""

import gzip
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from src.common.errors import UsageError
from src.common.files import open_regular, reading, write_atomic
from src.common.system import memory_bytes
from src.data.datasets import DATASETS, DatasetName

UNSIGNED_BYTE, INTEGER = 0x08, 0x0C
DTYPES: dict[int, np.dtype[Any]] = {UNSIGNED_BYTE: np.dtype("u1"), INTEGER: np.dtype(">i4")}
MAX_DIMENSIONS = 8
LARGEST_TENSOR = (1 << 63) - 1  # bytes
CHUNK_BYTES = 1 << 20
MAP_FROM_BYTES = 1 << 30
IMAGE_SHAPE = (28, 28)


def read_idx(path: Path, memory_map: bool = False) -> Tensor:
    """Read an IDX file, plain or compressed (``.gz``), as uint8, or int32 for 32-bit integers.

    Reading takes no more memory than the values that the file really holds, whatever its header promises. With
    ``memory_map``, for plain files, the values stay on the disk, and the tensor must not be written to.
    """
    compressed = path.suffix == ".gz"
    if compressed and memory_map:
        raise UsageError(f"{path} cannot be memory-mapped: unpack it, or use `memory_map` false.")
    with _opened(path) as file:
        dtype, shape = _read_header(file, path)
        size, start = math.prod(shape) * dtype.itemsize, file.tell()
        values: Any = bytearray()
        if compressed:
            while len(values) <= size and (chunk := file.read(CHUNK_BYTES)):
                values += chunk
        held = len(values) if compressed else path.stat().st_size - start
        if held != size:
            problem = "is truncated" if held < size else "has bytes after its end"
            raise UsageError(
                f"{path} {problem}: its header promises {size:,} bytes of values, it has "
                f"{'more' if compressed and held > size else f'{held:,}'}; replace it with a complete copy."
            )
        if memory_map:
            values = np.memmap(cast(Any, file), np.uint8, "r")[start:]
        elif not compressed:
            values = np.empty(size, np.uint8)  # safe: the file is as long as its header promises
            if file.readinto(values) != size:
                raise UsageError(f"{path} became shorter while it was read: start again when it is complete.")
    array = np.frombuffer(values, dtype).reshape(shape)
    return as_tensor(array.astype(dtype.newbyteorder("="), copy=False))


def as_tensor(array: Any) -> Tensor:
    """Return a tensor that shares the memory of an array, which may be mapped and must not be written to."""
    # torch.from_file maps for writing: Linux then counts the file as memory, and refuses a file larger than memory
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def header_of(path: Path) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return the dtype and the shape of an IDX file; errors as in ``read_idx``."""
    with _opened(path) as file:
        return _read_header(file, path)


@contextmanager
def _opened(path: Path) -> Iterator[BufferedIOBase]:
    """Open a file, plain or compressed; an error in reading becomes a UsageError."""
    try:
        with (
            open_regular(path) as plain,
            cast(BufferedIOBase, gzip.open(plain) if path.suffix == ".gz" else plain) as file,
        ):
            yield file
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "its compression is damaged"
        raise UsageError(f"{path} cannot be read ({reason}): put a readable IDX file there.") from error


def _read_header(file: BufferedIOBase, path: Path) -> tuple[np.dtype[Any], tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in DTYPES or not 0 < magic[3] <= MAX_DIMENSIONS:
        raise UsageError(f"{path} is not an IDX file of integers: replace it with the original.")
    dimensions = file.read(4 * magic[3])
    if len(dimensions) < 4 * magic[3]:
        raise UsageError(f"{path} is truncated inside its header: replace it with a complete copy.")
    dtype, shape = DTYPES[magic[2]], struct.unpack(f">{magic[3]}I", dimensions)
    if math.prod(max(size, 1) for size in shape) * dtype.itemsize > LARGEST_TENSOR:  # 0 must not hide the rest
        raise UsageError(f"{path} has a header with impossible dimensions: replace it with the original.")
    if path.suffix == ".gz" and (size := math.prod(shape) * dtype.itemsize) > memory_bytes():
        raise UsageError(f"{path} promises {size:,} bytes, more than this machine's memory: unpack it.")
    return dtype, shape


def write_idx(path: Path, values: Tensor) -> None:
    """Write a uint8 tensor of at least one dimension as an IDX file, atomically."""
    header = struct.pack(f">BBBB{values.dim()}I", 0, 0, UNSIGNED_BYTE, values.dim(), *values.shape)
    write_atomic(path, header + values.contiguous().numpy().tobytes())


def read_pair(
    images_path: Path, labels_path: Path, dataset: DatasetName, memory_map: bool | None = None
) -> tuple[Tensor, Tensor]:
    """Read images, ``(N, 28, 28)``, and their class numbers from 0, ``(N,)``, both uint8, from two IDX files.

    With ``memory_map`` None, plain image files of 1 GiB or more are mapped.
    """
    if memory_map is None:
        with reading(images_path):
            memory_map = images_path.suffix != ".gz" and images_path.stat().st_size >= MAP_FROM_BYTES
    images_dtype, images_shape = header_of(images_path)  # headers first: a few megabytes may unpack to gigabytes
    dtype, shape = header_of(labels_path)
    if images_dtype != np.uint8 or images_shape[1:] != IMAGE_SHAPE or images_shape[0] == 0:
        raise UsageError(
            f"{images_path} holds {_describe(images_dtype, images_shape)}, not images of 28 x 28 unsigned bytes: "
            "put the file of the images there."
        )
    is_qmnist = len(shape) == 2 and dtype != np.uint8 and shape[1] > 0  # the class, then who wrote it and where
    if len(shape) != 1 and not is_qmnist:
        raise UsageError(
            f"{labels_path} holds {_describe(dtype, shape)}, not one class number per image: write the numbers instead."
        )
    if shape[0] != images_shape[0]:
        raise UsageError(
            f"{images_path} has {images_shape[0]:,} images but {labels_path} {shape[0]:,} labels: "
            "replace the file that does not belong."
        )
    labels = read_idx(labels_path)  # before the images: a wrong label in the small file saves reading the large file
    if is_qmnist:
        labels = labels[:, 0]
    first = DATASETS[dataset].first_label
    last = first + len(DATASETS[dataset].classes) - 1
    if len(wrong := labels[(labels < first) | (labels > last)]):
        raise UsageError(
            f"{labels_path} has the label {wrong[0]}: the classes of {dataset} go from {first} to {last}; "
            "name the data set that the labels belong to with `dataset`."
        )
    return read_idx(images_path, memory_map), (labels - first).to(torch.uint8)


def _describe(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    sizes = " x ".join(f"{size:,}" for size in shape)
    return "nothing" if 0 in shape else f"{sizes} {'bytes' if dtype == np.uint8 else 'integers'}"
