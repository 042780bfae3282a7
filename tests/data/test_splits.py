"""Which images train and which validate: the tail, each class's share, or one fold of several."""

from pathlib import Path
from typing import Any

import pytest
import torch

from src.common.errors import UsageError
from src.data.checks import TRAIN_IMAGES, TRAIN_LABELS
from src.data.datamodule import MNISTDataModule
from src.data.idx import read_idx
from src.data.splits import split_positions
from tests.conftest import TEST_SIZE, TRAIN_SIZE
from tests.data.conftest import ready


def test_the_first_images_train_and_the_last_validate(digits: Path) -> None:
    images, labels = read_idx(digits / TRAIN_IMAGES), read_idx(digits / TRAIN_LABELS)
    splits = ready(digits).splits

    assert splits["train"].file_images.equal(images)
    assert splits["train"].file_labels.equal(labels)
    assert splits["train"].members.tolist() == list(range(TRAIN_SIZE - 60))
    assert splits["val"].members.tolist() == list(range(TRAIN_SIZE - 60, TRAIN_SIZE))


@pytest.mark.parametrize("split", ["tail", "stratified"])
def test_a_splits_images_are_its_own_and_no_others(split: str, digits: Path) -> None:
    images, labels = read_idx(digits / TRAIN_IMAGES), read_idx(digits / TRAIN_LABELS)
    splits = ready(digits, split=split).splits

    for name, size in (("train", TRAIN_SIZE - 60), ("val", 60)):
        members = splits[name].members
        assert splits[name].images.equal(images[members])
        assert splits[name].labels.equal(labels[members])
        assert len(splits[name].images) == size


def test_the_real_split_is_the_notebooks(mnist: Path) -> None:
    data = MNISTDataModule(data_dir=str(mnist))
    data.setup("fit")
    data.setup("test")

    assert {name: len(split.members) for name, split in data.splits.items()} == {
        "train": 48_000,
        "val": 12_000,
        "test": 10_000,
    }
    assert data.splits["train"].labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert len(data.train_dataloader()) == 240


def test_a_fraction_validates_on_that_share_of_the_tail(digits: Path) -> None:
    assert ready(digits, val_size=0.2).splits["val"].members.tolist() == list(range(184, 230))


@pytest.mark.parametrize("val_size", [60, 0.3, 1])
def test_a_stratified_split_has_each_classs_share_to_within_one(digits: Path, val_size: float) -> None:
    labels = read_idx(digits / TRAIN_LABELS)
    train, val = split_positions(labels, val_size, "stratified")
    assert isinstance(val, torch.Tensor)
    count = round(val_size * TRAIN_SIZE) if val_size < 1 else int(val_size)

    assert len(val) == count
    assert sorted([*train.tolist(), *val.tolist()]) == list(range(TRAIN_SIZE))
    for label in range(10):
        share = int((labels == label).sum()) * count / TRAIN_SIZE
        assert abs(int((labels[val] == label).sum()) - share) < 1
    assert split_positions(labels, val_size, "stratified")[1].equal(val)


def in_fold(labels: torch.Tensor, fold: int, folds: int, split: Any) -> tuple[list[int], list[int]]:
    train, val = split_positions(labels, 12_000, split, fold, folds)
    return list(map(int, train)), list(map(int, val))


@pytest.mark.parametrize("split", ["tail", "stratified"])
@pytest.mark.parametrize("folds", [2, 7, 10, TRAIN_SIZE])
def test_each_image_validates_in_one_fold_and_trains_in_all_others(folds: int, split: str, digits: Path) -> None:
    labels = read_idx(digits / TRAIN_LABELS)
    parts = [in_fold(labels, fold, folds, split) for fold in range(folds)]

    assert sorted(position for _, val in parts for position in val) == list(range(TRAIN_SIZE))
    for train, val in parts:
        assert sorted([*train, *val]) == list(range(TRAIN_SIZE))
        assert train == sorted(train)
        assert val == sorted(val)
        assert abs(len(val) - TRAIN_SIZE / folds) < 1


def test_folds_in_order_are_contiguous_and_the_last_is_the_tail(digits: Path) -> None:
    labels = read_idx(digits / TRAIN_LABELS)

    assert [in_fold(labels, fold, 4, "tail")[1] for fold in range(4)] == [
        *([*range(57)], [*range(57, 115)], [*range(115, 172)], [*range(172, 230)])
    ]


def test_stratified_folds_have_each_classs_share_to_within_one(digits: Path) -> None:
    labels = read_idx(digits / TRAIN_LABELS)
    for fold in range(10):
        _, val = in_fold(labels, fold, 10, "stratified")
        counts = torch.bincount(labels[val], minlength=10)
        assert ((counts - torch.bincount(labels) / 10).abs() < 1).all()


@pytest.mark.parametrize("memory_map", [True, False])
def test_a_folds_images_are_loaded_and_normalized_by_its_own_training_images(memory_map: bool, digits: Path) -> None:
    images = read_idx(digits / TRAIN_IMAGES)
    settings: dict[str, Any] = {
        "val_size": 12_000,
        "fold": 1,
        "folds": 4,
        "memory_map": memory_map,
        "normalization": "standard",
    }
    data = ready(digits, **settings)
    batches = [batch.positions for batch in data.train_dataloader()]

    assert torch.cat(batches).sort().values.tolist() == [*range(57), *range(115, 230)]
    assert torch.cat([batch.images for batch in data.val_dataloader()]).equal(images[57:115])
    rest = torch.cat([images[:57], images[115:]]).double() / 255
    assert data.mean_std == pytest.approx((float(rest.mean()), float(rest.std(correction=0))))
    assert len(ready(digits, "test", **settings).splits["test"].members) == TEST_SIZE


@pytest.mark.parametrize("split", ["tail", "stratified"])
def test_more_folds_than_images_are_refused(split: str, digits: Path) -> None:
    with pytest.raises(UsageError, match="`folds` 231 is more than the 230 training images"):
        ready(digits, val_size=12_000, fold=0, folds=231, split=split)
