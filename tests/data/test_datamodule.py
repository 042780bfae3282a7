"""What the data module gives to training: pixels, normalization, names and provenance, from mapped files too."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.common.errors import UsageError
from src.common.files import sha256
from src.data.idx import read_idx
from src.data.provenance import describe
from tests.conftest import TEST_SIZE, TRAIN_SIZE
from tests.data.conftest import ready


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


def test_the_largest_batch_is_the_split(digits: Path) -> None:
    assert len(ready(digits, batch_size=170).train_dataloader()) == 1


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
    mapped = []
    monkeypatch.setattr("src.data.idx.read_idx", lambda path, *words: mapped.append(words) or read_idx(path))
    ready(digits, "validate")
    monkeypatch.setattr("src.data.idx.MAP_FROM_BYTES", 1000)
    ready(digits, "validate")

    assert mapped == [(), (False,), (), (True,)]  # labels first


def test_compressed_files_are_read_and_cannot_be_mapped(own_digits: Path) -> None:
    expected = ready(own_digits).splits["train"].images
    for path in list(own_digits.iterdir()):
        (own_digits / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()

    assert ready(own_digits).splits["train"].images.equal(expected)
    for stage in ("fit", "test"):
        with pytest.raises(UsageError, match="cannot be memory-mapped"):
            ready(own_digits, stage, memory_map=True)
