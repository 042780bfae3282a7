"""Data sets of MNIST's family: torchvision's names and classes, QMNIST's labels, EMNIST's letters upright."""

import itertools
import struct
from pathlib import Path

import pytest
import torchvision

from src.common.errors import UsageError
from src.data.datasets import DATASETS, DatasetName
from src.data.sources import place_files
from tests.data.conftest import ready


def test_the_family_comes_from_torchvision_under_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloads = []

    class Download:
        def __init__(self, root: str, train: bool, download: bool, split: str | None = None) -> None:
            downloads.append((train, download, split))
            raw = Path(root) / "EMNIST" / "raw"
            raw.mkdir(parents=True, exist_ok=True)
            for name in DATASETS["EMNIST/letters"].files:
                (raw / name).touch()

    monkeypatch.setattr(torchvision.datasets, "EMNIST", Download)
    files = place_files("EMNIST/letters", tmp_path)

    assert downloads == [(True, True, "letters"), (False, True, "letters")]
    assert files[0] == tmp_path / "EMNIST" / "raw" / "emnist-letters-train-images-idx3-ubyte"
    assert all(path.is_file() for path in files)


@pytest.mark.parametrize("dataset", [name for name in DATASETS if name not in ("QMNIST", "CIFAR10")])
def test_names_and_classes_are_torchvisions(dataset: DatasetName) -> None:
    kind, _, split = dataset.partition("/")
    theirs = getattr(torchvision.datasets, kind)
    ours = DATASETS[dataset]

    if split:
        assert [name for name in theirs.classes_split_dict[split] if name != "N/A"] == list(ours.classes)
    else:
        assert [f"{name}.gz" for name in ours.files] == [name for name, _ in theirs.resources]
        assert len(theirs.classes) == len(ours.classes)


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
