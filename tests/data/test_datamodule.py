import gzip
import itertools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.common.errors import UsageError
from src.common.files import sha256
from src.data.batches import Split
from src.data.checks import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from src.data.datamodule import MNISTDataModule
from src.data.datasets import DATASETS, DatasetName
from src.data.idx import read_idx, write_idx
from src.data.provenance import describe
from src.data.splits import mean_and_std, split_positions
from tests.conftest import TEST_SIZE, TRAIN_SIZE


def ready(folder: Path, stage: str = "fit", **settings: Any) -> MNISTDataModule:
    data = MNISTDataModule(data_dir=str(folder), **{"val_size": 60, "batch_size": 32, **settings})
    data.prepare_data()
    data.setup(stage)
    return data


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


def test_fit_leaves_the_test_images_alone(digits: Path) -> None:
    assert set(ready(digits).splits) == {"train", "val"}
    assert set(ready(digits, "test").splits) == {"test"}


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


def test_loaders_yield_whole_splits(digits: Path) -> None:
    data, test = ready(digits), ready(digits, "test")

    assert sum(len(batch.labels) for batch in data.train_dataloader()) == TRAIN_SIZE - 60
    assert sum(len(batch.labels) for batch in data.val_dataloader()) == 60
    assert sum(len(batch.labels) for batch in test.test_dataloader()) == TEST_SIZE


def test_unit_normalization_is_pixels_over_255(digits: Path) -> None:
    data = ready(digits)
    batch = data.on_after_batch_transfer(next(iter(data.val_dataloader())), 0)

    expected = data.splits["val"].images.numpy().astype(np.float32) / 255
    assert batch.images.numpy().tobytes() == expected.tobytes()


def test_standard_normalization_uses_the_training_split_alone(digits: Path) -> None:
    data = ready(digits, normalization="standard")
    train = data.splits["train"].images
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


def test_the_names_of_the_classes_travel_with_checkpoint_and_result(digits: Path) -> None:
    data = ready(digits, dataset="FashionMNIST")

    assert data.state_dict()["classes"][:2] == describe(data)["classes"][:2] == ["T-shirt", "Trouser"]


def test_a_result_names_hash_and_source_of_each_file_that_is_still_there(own_digits: Path) -> None:
    data = ready(own_digits)
    assert describe(data)["sha256"] == {str(path): sha256(path) for path in data.files}
    assert set(describe(data)["source"].values()) == {"a folder of your own, not checked"}

    data.files[3].unlink()
    assert list(describe(data)["sha256"]) == [str(path) for path in data.files[:3]]


def test_equal_pixels_cannot_be_standardised() -> None:
    with pytest.raises(UsageError, match="`normalization` standard"):
        mean_and_std(Split(torch.full((3, 28, 28), 7, dtype=torch.uint8), torch.zeros(3), torch.arange(3)))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"batch_size": 0}, "`batch_size` must be at least 1"),
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


def test_a_fraction_validates_on_that_share_of_the_tail(digits: Path) -> None:
    assert ready(digits, val_size=0.2).splits["val"].members.tolist() == list(range(184, 230))


def test_given_statistics_are_used(digits: Path) -> None:
    data = ready(digits, normalization=[0.25, 0.5])

    assert data.normalize(torch.tensor([[[255]]], dtype=torch.uint8)).tolist() == [[[[1.5]]]]


@pytest.mark.parametrize("split", ["tail", "stratified"])
def test_a_mapped_file_gives_the_same_batches_as_memory(digits: Path, split: Any) -> None:
    loaders = [
        ready(digits, memory_map=mapped, split=split, normalization="standard").train_dataloader()
        for mapped in (True, False)
    ]
    for mapped, read in zip(*loaders, strict=True):
        assert mapped.images.equal(read.images)
        assert mapped.labels.equal(read.labels)


def test_large_files_are_mapped_by_themselves(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("src.data.idx.read_idx", lambda path, *mapped: asked.append(mapped) or read_idx(path))
    ready(digits, "validate")
    monkeypatch.setattr("src.data.idx.MAP_FROM_BYTES", 1000)
    ready(digits, "validate")

    assert asked == [(), (False,), (), (True,)]  # labels first


def test_compressed_files_are_read_and_cannot_be_mapped(own_digits: Path) -> None:
    expected = ready(own_digits).splits["train"].images
    for path in list(own_digits.iterdir()):
        (own_digits / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()

    assert ready(own_digits).splits["train"].images.equal(expected)
    for stage in ("fit", "test"):
        with pytest.raises(UsageError, match="cannot be memory-mapped"):
            ready(own_digits, stage, memory_map=True)


def family(folder: Path, dataset: DatasetName, labels: bytes) -> None:
    images = bytes(range(16)) * 49 * 4
    for number, name in enumerate(DATASETS[dataset].files):
        content = labels if number % 2 else bytes([0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 28, 0, 0, 0, 28]) + images
        (folder / name).write_bytes(content)


def test_qmnist_labels_are_the_first_of_eight_numbers(tmp_path: Path) -> None:
    rows = [[label, 99, 1, 2, 3, 4, 5, 6] for label in (7, 2, 1, 0)]
    family(tmp_path, "QMNIST", struct.pack(">4B2I32i", 0, 0, 12, 2, 4, 8, *itertools.chain(*rows)))

    data = ready(tmp_path, dataset="QMNIST", val_size=1, batch_size=1)
    assert data.splits["train"].file_labels.tolist() == [7, 2, 1, 0]


def test_emnist_stands_upright_and_letters_start_at_a(tmp_path: Path) -> None:
    family(tmp_path, "EMNIST/letters", struct.pack(">4BI4B", 0, 0, 8, 1, 4, 1, 2, 26, 1))
    data = ready(tmp_path, dataset="EMNIST/letters", val_size=1, batch_size=1)
    batch, shown = next(iter(data.train_dataloader())), next(iter(data.val_dataloader()))

    assert shown.images[0].T.flatten().tolist() == list(range(16)) * 49
    assert [data.classes[label] for label in data.splits["train"].file_labels] == ["a", "b", "z", "a"]
    assert batch.images[0].T.flatten().tolist() == list(range(16)) * 49
    family(tmp_path, "EMNIST/letters", struct.pack(">4BI4B", 0, 0, 8, 1, 4, 1, 0, 26, 1))
    with pytest.raises(UsageError, match=r"label 0: the classes of EMNIST/letters go from 1 to 26; .*`dataset`"):
        ready(tmp_path, dataset="EMNIST/letters", val_size=1, batch_size=1)
