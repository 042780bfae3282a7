"""Images in NumPy files, x_train.npy, y_train.npy, x_test.npy and y_test.npy, with class names in classes.txt."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from src.common.errors import UsageError, cause_of
from src.common.files import open_regular, read_regular, reading
from src.data.datasets import is_class_name
from src.data.idx import MAP_FROM_BYTES, as_tensor

NAMES = ("x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy")
CLASSES = "classes.txt"
MOST_CLASSES = 256  # a label is a byte


def find_arrays(folder: Path) -> tuple[list[Path], tuple[str, ...], tuple[int, ...]]:
    """Return the four files of a folder, the class names, and the shape of an image, (H, W) or (H, W, 3)."""
    for name in NAMES:
        if not (folder / name).exists():
            raise UsageError(f"{folder / name} is missing: `data_dir` needs {', '.join(NAMES)}, made by numpy.save.")
    return [folder / name for name in NAMES], classes_of(folder), _open_images(folder / NAMES[0]).shape[1:]


def classes_of(folder: Path) -> tuple[str, ...]:
    """Return the class names: the lines of ``classes.txt`` or, without it, the numbers up to the highest label."""
    path = folder / CLASSES
    if not path.exists():
        labels = _open(folder / NAMES[1])
        return tuple(str(number) for number in range(min(int(labels.max(initial=0)) + 1, MOST_CLASSES)))
    with reading(path):
        names = tuple(read_regular(path).decode(errors="replace").splitlines())
    if not 2 <= len(names) <= MOST_CLASSES or len(set(names)) < len(names) or not all(map(is_class_name, names)):
        raise UsageError(f"{path} needs one name in each line, 2 to {MOST_CLASSES} different ones.")
    return names


def read_arrays(
    images_path: Path, labels_path: Path, classes: int, memory_map: bool | None = None
) -> tuple[Tensor, Tensor]:
    """Read images, ``(N, H, W[, C])``, and their class numbers, ``(N,)``, both as uint8.

    With ``memory_map`` None, image files of 1 GiB or more are mapped.
    """
    images, labels = _open_images(images_path), _open(labels_path)
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise UsageError(
            f"{labels_path} has {labels.dtype} of the shape {labels.shape}: it must have an integer for each of the "
            f"{len(images):,} images."
        )
    if (wrong := labels[(labels < 0) | (labels >= classes)]).size:
        raise UsageError(f"{labels_path} has the label {wrong[0]}: the {classes} classes go from 0 to {classes - 1}.")
    is_mapped = images.nbytes >= MAP_FROM_BYTES if memory_map is None else memory_map
    images = images if is_mapped and images.flags.c_contiguous else np.array(images, order="C")
    return as_tensor(images), torch.from_numpy(labels.astype(np.uint8))


def _open_images(path: Path) -> Any:
    """Memory-map images; the dimension of a single channel is dropped."""
    images = _open(path)
    if images.dtype != np.uint8:
        raise UsageError(
            f"{path} has {images.dtype}, not uint8: save pixels from 0 to 255, such as "
            "(x * 255).round().astype('uint8') where x goes from 0 to 1."
        )
    if images.ndim not in (3, 4) or 0 in images.shape or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise UsageError(f"{path} has the shape {images.shape}: it must be (N, H, W) or (N, H, W, 3).")
    return images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images


def _open(path: Path) -> Any:
    """Memory-map an array, which can never be longer than its file, whatever the header promises."""
    with reading(path), open_regular(path):
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise UsageError(
                f"{path} is not a complete file of numpy.save ({cause_of(error)}): save it again."
            ) from error
