"""Pictures in folders, a folder for each class, read once into NumPy files beside them."""

import atexit
import errno
import hashlib
import json
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from tqdm import tqdm

from src.common.errors import UsageError, printable
from src.common.files import read_regular, reading, write_atomic
from src.common.output import say
from src.common.pictures import PictureError, Pixels, header, is_called_picture, opened, read_picture
from src.common.system import cores
from src.data.arrays import CLASSES, MOST_CLASSES, NAMES
from src.data.datasets import is_class_name
from src.data.splits import split_positions

CACHE = ".arrays"
LARGE = 32_768  # bytes of a picture file
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
Sample = tuple[Path, int]  # a file and its class


def packed(folder: Path, image_size: Sequence[int] | None, test_size: int | float) -> Path:
    """Return a folder with the pictures as NumPy files, which are made again when a picture has changed.

    Args:
        folder: Has ``train/CLASS/*`` and ``test/CLASS/*``, or ``train`` alone, or the class folders themselves.
        image_size: Height and width to give the pictures; None for the most frequent size.
        test_size: How many pictures to test on if there is no ``test``, as a number or as a fraction below 1.
    """
    with reading(folder):
        classes, parts = find_samples(folder)
        stats = [(path.relative_to(folder).as_posix(), path.stat()) for part in parts for path, _ in part]
    listing = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]
    key = hashlib.sha256(json.dumps([listing, test_size]).encode()).hexdigest()[:16]
    if (place := _made_before(folder / CACHE, key, image_size)) is not None:
        return place
    cache = _writable(folder / CACHE)
    with FileLock(cache / ".lock"):  # another process may have made them meanwhile
        return _made_before(cache, key, image_size) or _pack(folder, classes, parts, cache, key, image_size, test_size)


def _made_before(cache: Path, key: str, image_size: Sequence[int] | None) -> Path | None:
    with suppress(OSError, ValueError):
        height, width = image_size or json.loads(read_regular(cache / f"{key}.size"))
        place = cache / f"{key}-{height}x{width}"
        return place if place.is_dir() else None
    return None


def _writable(cache: Path) -> Path:
    """Return the cache folder or, if it is not writable, a temporary folder that is removed at the process's end."""
    try:
        cache.mkdir(exist_ok=True)
        (cache / ".lock").touch()
        return cache
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
    cache = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, cache, ignore_errors=True)
    return cache


def find_samples(folder: Path) -> tuple[list[str], list[list[Sample]]]:
    """Return the class names, the files to train on and the files to test on, without litter."""
    train = folder / "train" if (folder / "train").is_dir() else folder
    classes = sorted(path.name for path in train.iterdir() if path.is_dir() and not is_litter(path))
    if not 2 <= len(classes) <= MOST_CLASSES:
        has = f"the class {classes[0]} only" if len(classes) == 1 else f"{len(classes):,} folders"
        raise UsageError(f"{train} has {has}: `data_dir` needs 2 to {MOST_CLASSES} folders of pictures, one a class.")
    folded = Counter(name.casefold() for name in classes)
    if twins := [name for name in classes if folded[name.casefold()] > 1]:
        raise UsageError(f"{train} has classes that differ by case alone: {', '.join(twins)}; rename all but one.")
    if odd := [name for name in classes if not is_class_name(name)]:
        raise UsageError(f"{train / odd[0]} is a class whose name has characters that cannot be printed: rename it.")
    parts = []
    for place in (train, folder / "test"):
        samples: list[Sample] = []
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.is_dir() and not is_litter(path):
                if path.name not in classes:
                    raise UsageError(f"{path} is a class that {train} lacks: rename it, or train on it too.")
                files = sorted(file for file in path.rglob("*") if not is_litter(file) and not file.is_dir())
                samples += [(file, classes.index(path.name)) for file in files]
        parts.append(samples)
    return classes, parts


def is_litter(path: Path) -> bool:
    """Say whether a file or a folder is hidden, or holds the system's view settings of a folder."""
    return path.name.startswith(".") or path.name.lower() in ("thumbs.db", "desktop.ini")


def _pack(
    folder: Path, classes: list[str], parts: list[list[Sample]], cache: Path, key: str,
    image_size: Sequence[int] | None, test_size: int | float,
) -> Path:  # fmt: skip
    """Read all pictures into arrays, and remove the arrays of the folder's earlier contents."""
    with ThreadPoolExecutor(cores()) as threads:
        paths = [path for part in parts for path, _ in part]
        # for small pictures most of the work is in Python code, where threads only wait for the interpreter
        are_large = sum(path.stat().st_size for path in paths) > LARGE * len(paths)
        apply: Callable[..., Iterable[Any]] = threads.map if are_large else map
        kinds = {path: kind for path, kind in zip(paths, apply(_header, paths), strict=True) if kind}
        train, test = ([sample for sample in part if sample[0] in kinds] for part in parts)
        if missing := set(range(len(classes))) - {label for _, label in train}:
            raise UsageError(f"{folder}: the class {classes[min(missing)]} has no pictures: add some, or remove it.")
        random.Random(0).shuffle(train)  # else all validation images would be of the last class
        if not test:
            labels = torch.tensor([label for _, label in train], dtype=torch.uint8)
            positions = split_positions(labels, test_size, "stratified", name="test_size")
            train, test = ([train[position] for position in part] for part in positions)
        most_frequent = Counter(size for size, _ in kinds.values()).most_common(1)[0][0]
        height, width = image_size or most_frequent
        is_grey = all(is_grey for _, is_grey in kinds.values())
        shape = (height, width) if is_grey else (height, width, 3)
        with tempfile.TemporaryDirectory(prefix=".", dir=cache, ignore_cleanup_errors=True) as temporary:
            new = Path(temporary, "new")
            new.mkdir()
            (new / CLASSES).write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
            for (x_name, y_name), samples in zip((NAMES[:2], NAMES[2:]), (train, test), strict=True):
                np.save(new / y_name, np.array([label for _, label in samples], np.uint8))
                pixels = np.lib.format.open_memmap(new / x_name, "w+", np.uint8, (len(samples), *shape))
                pictures = apply(_read, [path for path, _ in samples], repeat(shape))
                for number, picture in enumerate(tqdm(pictures, printable(str(folder)), len(samples), disable=None)):
                    pixels[number] = picture
                pixels.flush()
            for old in [path for path in cache.iterdir() if not path.name.startswith((".", key))]:
                shutil.rmtree(old) if old.is_dir() else old.unlink()
            write_atomic(cache / f"{key}.size", json.dumps(most_frequent).encode())
            place = new.rename(cache / f"{key}-{height}x{width}")
    colour, others = "grey" if is_grey else "in colour", len(paths) - len(kinds)
    skipped = f"; files skipped because they are not pictures: {others:,}" if others else ""
    say(f"{folder}: {len(kinds):,} pictures, {height} x {width}, {colour}{skipped}")
    return place


def _header(path: Path) -> tuple[tuple[int, int], bool] | None:
    """Return a picture's size and whether it is grey; None for a file that is neither a picture nor named like one."""
    try:
        with opened(path) as file:
            return header(file)
    except PictureError as error:
        if is_called_picture(path):
            raise UsageError(f"{path}: {error}; mend or remove it.") from error
        return None


def _read(path: Path, shape: tuple[int, ...]) -> Pixels:
    try:
        return read_picture(path, shape)
    except PictureError as error:
        raise UsageError(f"{path}: {error}; mend or remove it.") from error
