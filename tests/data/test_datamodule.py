from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.data.datamodule import MNISTDataModule, mean_and_std
from src.data.idx import read_idx, write_idx
from src.data.sources import TRAIN_IMAGES, TRAIN_LABELS
from src.errors import UsageError
from tests.conftest import TEST_SIZE, TRAIN_SIZE


def ready(folder: Path, stage: str = "fit", **settings: Any) -> MNISTDataModule:
    data = MNISTDataModule(data_dir=str(folder), **{"val_size": 60, "batch_size": 32, **settings})
    data.prepare_data()
    data.setup(stage)
    return data


def test_the_first_images_train_and_the_last_validate(digits: Path) -> None:
    images, labels = read_idx(digits / TRAIN_IMAGES), read_idx(digits / TRAIN_LABELS)
    splits = ready(digits).splits

    assert splits["train"][0].equal(images[:-60])
    assert splits["train"][1].equal(labels[:-60].long())
    assert splits["val"][0].equal(images[-60:])
    assert splits["val"][1].equal(labels[-60:].long())


def test_the_real_split_is_the_notebooks(mnist: Path) -> None:
    data = MNISTDataModule(data_dir=str(mnist))
    data.setup("fit")
    data.setup("test")

    assert {name: len(labels) for name, (_, labels) in data.splits.items()} == {
        "train": 48_000,
        "val": 12_000,
        "test": 10_000,
    }
    assert data.splits["train"][1][:5].tolist() == [5, 0, 4, 1, 9]
    assert len(data.train_dataloader()) == 240


def test_fit_leaves_the_test_images_alone(digits: Path) -> None:
    assert set(ready(digits).splits) == {"train", "val"}
    assert set(ready(digits, "test").splits) == {"test"}


def test_loaders_yield_whole_splits(digits: Path) -> None:
    data, test = ready(digits), ready(digits, "test")

    assert sum(len(batch.labels) for batch in data.train_dataloader()) == TRAIN_SIZE - 60
    assert sum(len(batch.labels) for batch in data.val_dataloader()) == 60
    assert sum(len(batch.labels) for batch in test.test_dataloader()) == TEST_SIZE


def test_unit_normalization_is_pixels_over_255(digits: Path) -> None:
    data = ready(digits)
    batch = data.on_after_batch_transfer(next(iter(data.val_dataloader())), 0)

    expected = data.splits["val"][0].numpy().astype(np.float32) / 255
    assert batch.images.numpy().tobytes() == expected.tobytes()


def test_standard_normalization_uses_the_training_split_alone(digits: Path) -> None:
    data = ready(digits, normalization="standard")
    train = data.splits["train"][0]
    pixels = train.numpy().astype(np.float64) / 255

    assert data.mean_std == pytest.approx((pixels.mean(), pixels.std()), rel=1e-12)
    normalized = data.normalize(train)
    assert float(normalized.mean()) == pytest.approx(0, abs=1e-5)
    assert float(normalized.std()) == pytest.approx(1, abs=1e-4)


def test_the_normalization_travels_in_the_state(digits: Path) -> None:
    trained = ready(digits, normalization="standard")
    fresh = ready(digits, "test", normalization="standard")
    fresh.load_state_dict(trained.state_dict())

    assert fresh.mean_std == trained.mean_std


def test_equal_pixels_cannot_be_standardised() -> None:
    with pytest.raises(UsageError, match="normalization standard"):
        mean_and_std(torch.full((3, 28, 28), 7, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"batch_size": 0}, "--data.batch_size must be at least 1"),
        ({"batch_size": 171}, "choose at most 170"),
        ({"val_size": -1}, "--data.val_size must be 0 or more"),
        ({"val_size": 230}, "below the 230 training images"),
    ],
)
def test_impossible_sizes_are_refused(digits: Path, settings: dict[str, int], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        ready(digits, **settings)


def test_the_largest_batch_is_the_split(digits: Path) -> None:
    assert len(ready(digits, batch_size=170).train_dataloader()) == 1


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


def test_a_label_that_is_no_digit_is_refused(own_digits: Path) -> None:
    write_idx(own_digits / TRAIN_LABELS, torch.full((230,), 11, dtype=torch.uint8))
    with pytest.raises(UsageError, match="label 11"):
        ready(own_digits)
