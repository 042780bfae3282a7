"""Files and settings of which no training can be made: each is named with its problem."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.common.errors import UsageError
from src.data.batches import Split
from src.data.checks import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from src.data.idx import read_idx, write_idx
from src.data.splits import mean_and_std
from tests.data.conftest import ready


def test_damaged_test_files_are_found_before_training(own_digits: Path) -> None:
    labels = read_idx(own_digits / TEST_LABELS)
    for name, content, problem in (
        (TEST_LABELS, labels[1:], "70 images but .*69 labels"),
        (TEST_LABELS, labels + 1, f"{TEST_LABELS} has the label 10"),
        (TEST_IMAGES, labels, f"{TEST_IMAGES} holds 70 bytes, not images"),
    ):
        before = (own_digits / name).read_bytes()
        write_idx(own_digits / name, content)
        with pytest.raises(UsageError, match=problem):
            ready(own_digits)
        (own_digits / name).write_bytes(before[:-1])
        with pytest.raises(UsageError, match=f"{name} is truncated"):
            ready(own_digits)
        (own_digits / name).write_bytes(before)
    ready(own_digits)


def test_equal_pixels_cannot_be_standardised() -> None:
    with pytest.raises(UsageError, match="`normalization` standard"):
        mean_and_std(Split(torch.full((3, 28, 28), 7, dtype=torch.uint8), torch.zeros(3), torch.arange(3)))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"batch_size": 0}, "`batch_size` must be a whole number from 1 up"),
        ({"batch_size": 171}, "choose at most 170"),
        ({"val_size": -1}, "`val_size` must be"),
        ({"val_size": 1.0}, "fraction below 1"),
        ({"normalization": [0.5]}, "needs two numbers"),
        ({"normalization": [0.5, 0.0]}, "std above 0"),
        ({"val_size": 230}, "below the 230 training images"),
    ],
)
def test_impossible_sizes_are_refused(digits: Path, settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        ready(digits, **settings)


def test_images_and_labels_of_different_counts_are_refused(own_digits: Path) -> None:
    write_idx(own_digits / TRAIN_LABELS, torch.zeros(229, dtype=torch.uint8))
    with pytest.raises(UsageError, match=f"230 images but .*{TRAIN_LABELS} 229 labels"):
        ready(own_digits)


def test_swapped_files_are_refused(own_digits: Path) -> None:
    (own_digits / TRAIN_IMAGES).replace(own_digits / "x")
    (own_digits / TRAIN_LABELS).replace(own_digits / TRAIN_IMAGES)
    (own_digits / "x").replace(own_digits / TRAIN_LABELS)
    with pytest.raises(UsageError, match="not images of 28 x 28"):
        ready(own_digits)


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        (TRAIN_IMAGES, [12, 3, 230, 28, 28], f"{TRAIN_IMAGES} holds 230 x 28 x 28 integers, not images of 28 x 28 un"),
        (TRAIN_IMAGES, [8, 3, 0, 28, 28], f"{TRAIN_IMAGES} holds nothing, not images of 28 x 28 unsigned bytes"),
        (TRAIN_IMAGES, [8, 3, 230, 32, 32], f"{TRAIN_IMAGES} holds 230 x 32 x 32 bytes, not images"),
        (TRAIN_LABELS, [8, 2, 230, 10], f"{TRAIN_LABELS} holds 230 x 10 bytes, not one class number per image"),
        (TRAIN_LABELS, [8, 1, 0], "230 images but .*0 labels"),
    ],
)
def test_files_of_something_else_are_described(own_digits: Path, name: str, values: list[int], says: str) -> None:
    kind, dimensions, *sizes = values
    content = bytes(int(np.prod(sizes)) * (4 if kind == 12 else 1))
    (own_digits / name).write_bytes(struct.pack(f">4B{dimensions}I", 0, 0, kind, dimensions, *sizes) + content)
    with pytest.raises(UsageError, match=says):
        ready(own_digits)


def test_a_label_that_is_no_digit_is_refused(own_digits: Path) -> None:
    write_idx(own_digits / TRAIN_LABELS, torch.full((230,), 11, dtype=torch.uint8))
    with pytest.raises(UsageError, match="label 11"):
        ready(own_digits)
