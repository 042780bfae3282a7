"""Pictures in folders as arrays: what is read, what is skipped, and when they are read again."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src.common.errors import UsageError
from src.data import pictures
from src.data.datamodule import MNISTDataModule
from src.data.pictures import CACHE, packed
from tests.pictures import CLASSES, draw_folder, draw_picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return draw_folder(tmp_path / "pictures", train=4, test=2)


def ready(folder: Path, **settings: Any) -> MNISTDataModule:
    data = MNISTDataModule("folder", str(folder), val_size=6, batch_size=6, **settings)
    data.setup("fit")
    data.setup("test")
    return data


def arrays(place: Path) -> dict[str, np.ndarray]:
    return {path.name: np.load(path) for path in sorted(place.glob("*.npy"))}


def test_pictures_and_their_classes_are_those_of_the_folders(folder: Path) -> None:
    data = ready(folder)

    assert (data.classes, data.image_shape) == (CLASSES, (16, 16, 3))
    assert {name: len(split.members) for name, split in data.splits.items()} == {"train": 18, "val": 6, "test": 12}
    expected = {
        (name, draw_picture(name, 16, number + seed).tobytes())
        for name in CLASSES
        for seed, count in ((0, 4), (1000, 2))
        for number in range(count)
    }
    read = {
        (CLASSES[int(label)], image.numpy().tobytes())
        for split in data.splits.values()
        for image, label in zip(split.images, split.labels, strict=True)
    }
    assert read == expected


def test_sizes_modes_and_rotations_become_one_shape(folder: Path) -> None:
    place = folder / "train" / CLASSES[0]
    picture = draw_picture(CLASSES[0], 16, 7)
    exif = Image.Exif()
    exif[0x0112] = 6  # it lies on its side
    picture.rotate(90, expand=True).save(place / "turned.jpg", exif=exif, quality=100, subsampling=0)
    picture.resize((40, 40)).save(place / "large.webp")
    picture.convert("P").save(place / "palette.gif")
    see_through = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    see_through.save(place / "transparent.png")
    data = ready(folder)

    assert data.image_shape == (16, 16, 3)
    images = np.concatenate([data.splits[name].images.numpy() for name in ("train", "val")]).astype(int)
    upright = np.asarray(picture).astype(int)
    assert abs(images - upright).mean(axis=(1, 2, 3)).min() < 6  # up to what JPEG loses
    assert any((image == 255).all() for image in images)  # nothing on white
    assert ready(folder, image_size=[8, 12]).image_shape == (8, 12, 3)


def test_grey_pictures_have_one_channel(tmp_path: Path) -> None:
    for name, level in (("dark", 40), ("light", 200)):
        place = tmp_path / name
        place.mkdir()
        Image.new("L", (6, 5), level).save(place / "a.png")
        Image.new("I;16", (6, 5), level * 257).save(place / "b.png")
        Image.new("1", (6, 5), level > 100).save(place / "c.png")
    data = MNISTDataModule("folder", str(tmp_path), val_size=0, batch_size=1, test_size=2)
    data.setup("fit")

    assert data.image_shape == (5, 6)
    assert {int(image.float().mean()) for image in data.splits["train"].file_images} <= {0, 40, 200, 255}


def test_what_is_no_picture_is_passed_over_and_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (".DS_Store", "Thumbs.db", "notes.txt", "labels.csv"):
        (folder / "train" / CLASSES[0] / name).write_text("no picture")
    packed(folder, None, 0.2)

    assert capsys.readouterr().out == (
        f"{folder}: 36 pictures, 16 x 16, in colour; files skipped because they are not pictures: 2\n"
    )


def test_without_a_test_folder_a_share_of_each_class_tests(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path, train=10, test=0)
    labels = arrays(packed(folder, None, 0.2))

    assert np.bincount(labels["y_test.npy"]).tolist() == [2] * len(CLASSES)
    assert np.bincount(labels["y_train.npy"]).tolist() == [8] * len(CLASSES)
    assert len(set(labels["y_train.npy"][-8:].tolist())) > 1  # the last ones validate


@pytest.mark.parametrize("size", [-1, -0.2, 1.0])
def test_a_share_that_is_none_is_refused(size: float, tmp_path: Path) -> None:
    folder = draw_folder(tmp_path, train=10, test=0)
    with pytest.raises(UsageError, match="`test_size` must be a whole number from 0 up or a fraction below 1, got"):
        packed(folder, None, size)


def test_they_are_read_again_where_they_have_changed_and_only_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = packed(folder, None, 0.2)
    before = arrays(first)
    monkeypatch.setattr(pictures, "_pack", None)
    assert packed(folder, None, 0.2) == packed(folder, [16, 16], 0.2) == first
    monkeypatch.undo()
    draw_picture(CLASSES[1], 16, 99).save(folder / "train" / CLASSES[0] / "000.png")
    second = packed(folder, None, 0.2)

    assert not np.array_equal(arrays(second)["x_train.npy"], before["x_train.npy"])
    assert not first.exists()
    assert [path.name for path in (folder / CACHE).iterdir() if path.is_dir()] == [second.name]


def test_a_picture_that_changes_and_stays_as_large_is_read_again(folder: Path) -> None:
    picture = folder / "train" / CLASSES[0] / "000.bmp"
    draw_picture(CLASSES[0], 16, 7).save(picture)
    first = packed(folder, None, 0.2)
    draw_picture(CLASSES[0], 16, 8).save(picture)
    os.utime(picture, ns=(0, 0))  # a coarse clock may have given it the same time

    assert packed(folder, None, 0.2) != first


def test_another_share_to_test_on_makes_them_anew(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path, train=10, test=0)

    assert [len(arrays(packed(folder, None, share))["y_test.npy"]) for share in (0.2, 0.5)] == [12, 30]


def test_several_processes_at_once_make_them_once(folder: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        places = set(threads.map(lambda _: packed(folder, None, 0.2), range(4)))
    assert len(places) == 1
    assert len(arrays(places.pop())["y_train.npy"]) == 24


def test_a_place_that_cannot_be_written_to_has_no_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = arrays(packed(folder, None, 0.2))
    shutil.rmtree(folder / CACHE)
    mkdir = Path.mkdir

    def refuse(self: Path, *words: Any, **named: Any) -> None:
        if self.name == CACHE:
            raise OSError(30, os.strerror(30), str(self))
        mkdir(self, *words, **named)

    monkeypatch.setattr(Path, "mkdir", refuse)
    place = packed(folder, None, 0.2)

    assert not (folder / CACHE).exists()
    assert arrays(place).keys() == expected.keys() != set()
    assert all(np.array_equal(array, expected[name]) for name, array in arrays(place).items())


def test_an_interruption_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pictures, "write_atomic", stop)
    with pytest.raises(KeyboardInterrupt):
        packed(folder, None, 0.2)
    assert {path.name for path in (folder / CACHE).iterdir()} <= {".lock"}
