"""Images in NumPy files."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.common.errors import UsageError
from src.data.arrays import read_arrays
from src.data.datamodule import MNISTDataModule


def write(folder: Path, shape: tuple[int, ...] = (6, 5, 3), **others: Any) -> dict[str, np.ndarray]:
    numbers = np.random.default_rng(0)
    arrays = {
        name: numbers.integers(0, 256, (count, *shape), np.uint8) for name, count in (("x_train", 20), ("x_test", 8))
    }
    arrays |= {"y_train": np.arange(20) % 4, "y_test": np.arange(8) % 4}
    for name, values in (arrays | others).items():
        if values is not None:
            np.save(folder / f"{name}.npy", values)
    return arrays


def ready(folder: Path, **settings: Any) -> MNISTDataModule:
    data = MNISTDataModule("arrays", str(folder), val_size=5, batch_size=5, **settings)
    data.setup("fit")
    data.setup("test")
    return data


@pytest.mark.parametrize("memory_map", [False, True])
@pytest.mark.parametrize(("shape", "read"), [((6, 5), (6, 5)), ((6, 5, 3), (6, 5, 3)), ((6, 5, 1), (6, 5))])
def test_they_are_read_as_they_are(shape: Any, read: Any, memory_map: bool, tmp_path: Path) -> None:
    arrays = write(tmp_path, shape)
    data = ready(tmp_path, memory_map=memory_map)

    assert (data.image_shape, data.classes) == (read, ("0", "1", "2", "3"))
    assert np.array_equal(data.splits["train"].images.numpy().reshape(15, *shape), arrays["x_train"][:15])
    assert np.array_equal(data.splits["val"].labels.numpy(), arrays["y_train"][15:])
    assert np.array_equal(data.splits["test"].images.numpy().reshape(8, *shape), arrays["x_test"])


@pytest.mark.skipif(sys.platform != "linux", reason="a file of mostly nothing would fill other systems' disks")
def test_images_larger_than_the_memory_are_mapped(tmp_path: Path) -> None:
    write(tmp_path)
    rows = 2 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 20 // 1024
    with (tmp_path / "x_train.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (20, rows, 1024)})
        file.truncate(file.tell() + 20 * rows * 1024)

    images, _ = read_arrays(tmp_path / "x_train.npy", tmp_path / "y_train.npy", classes=4)
    assert images[-1, -1].equal(torch.zeros(1024, dtype=torch.uint8))


def test_an_array_in_columns_is_read_too(tmp_path: Path) -> None:
    arrays = write(tmp_path, (6, 5))
    np.save(tmp_path / "x_train.npy", np.asfortranarray(arrays["x_train"]))
    assert np.array_equal(ready(tmp_path, memory_map=True).splits["train"].file_images.numpy(), arrays["x_train"])


@pytest.mark.parametrize("windows", [False, True])
def test_the_classes_names_are_lines(windows: bool, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "classes.txt").write_bytes(b"cat\r\ndog\r\nbird\r\nfish\r\n" if windows else b"cat\ndog\nbird\nfish\n")
    assert ready(tmp_path).classes == ("cat", "dog", "bird", "fish")


@pytest.mark.parametrize("name", ["", "dog\ndog", "dog\x1b[2J", "\u202egod", "x" * 300])
def test_names_that_cannot_be_shown_are_refused(name: str, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "classes.txt").write_text(f"{name}\n" if not name else f"cat\n{name}\n")
    with pytest.raises(UsageError, match=r"classes.txt needs one name in each line, 2 to 256 different ones\.$"):
        ready(tmp_path)


@pytest.mark.parametrize(
    ("others", "says"),
    [
        ({"x_train": np.zeros((20, 6, 5, 3))}, "x_train.npy has float64, not uint8: save pixels from 0 to 255"),
        ({"x_train": np.zeros((20, 30), np.uint8)}, "it must be (N, H, W) or (N, H, W, 3)"),
        ({"x_test": np.zeros((8, 9, 5, 3), np.uint8)}, "x_test.npy has images of 9 x 5 x 3, not 6 x 5 x 3."),
        ({"y_train": np.arange(19)}, "it must have an integer for each of the 20 images."),
        ({"y_train": np.arange(20) - 1}, "y_train.npy has the label -1: the 19 classes go from 0 to 18."),
        ({"y_test": np.arange(8)}, "y_test.npy has the label 4: the 4 classes go from 0 to 3."),
        ({"y_train": np.array([{}] * 20)}, "y_train.npy is not a complete file of numpy.save"),
        ({"y_test": None}, "y_test.npy is missing: `data_dir` needs"),
    ],
)
def test_what_does_not_fit_is_one_sentence(others: dict[str, Any], says: str, tmp_path: Path) -> None:
    write(tmp_path, **others)
    with pytest.raises(UsageError) as refused:
        ready(tmp_path)
    assert says in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"no array"])
def test_a_damaged_file_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "x_train.npy").write_bytes(content)
    with pytest.raises(UsageError, match=r"x_train\.npy is not a complete file of numpy\.save"):
        ready(tmp_path)


def test_a_shortened_file_is_one_sentence(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "x_train.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UsageError, match=r"x_train\.npy is not a complete file of numpy\.save"):
        ready(tmp_path)


@pytest.mark.parametrize("names", ["one\n", "a\na\nb\nc\n", "a\n\x1b[2J\nb\nc\n", "a\n\nb\nc\n"])
def test_names_that_are_none_are_refused(names: str, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "classes.txt").write_text(names)
    with pytest.raises(UsageError, match=r"classes\.txt needs one name in each line"):
        ready(tmp_path)
