"""Mistakes in folders of pictures: each is refused in one sentence."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from src.common.errors import UsageError, one_line
from src.data.pictures import packed
from tests.pictures import CLASSES, draw_folder


def remove_pictures(folder: Path) -> None:
    for path in (folder / "train" / CLASSES[0]).iterdir():
        path.unlink()


def leave_one_class(folder: Path) -> None:
    for name in CLASSES[1:]:
        shutil.rmtree(folder / "train" / name)


def damage(folder: Path) -> None:
    path = folder / "train" / CLASSES[2] / "001.png"
    path.write_bytes(path.read_bytes()[:-60])


ODD = ["a\nb", "a\x1b[2Jb", "gnp\u202e", "a\udcff"]


def add_twin(folder: Path) -> None:
    shutil.copytree(folder / "train" / CLASSES[0], folder / "train" / CLASSES[0].upper())


def add_odd_class(name: str) -> Callable[[Path], Path]:
    return lambda folder: Path(shutil.copytree(folder / "train" / CLASSES[0], folder / "train" / name))


def add_test_class(folder: Path) -> None:
    shutil.copytree(folder / "test" / CLASSES[0], folder / "test" / "yellow disc")


def add_fake(folder: Path) -> None:
    (folder / "train" / CLASSES[0] / "fake.png").write_text("no picture")


def add_floats(folder: Path) -> None:
    Image.new("F", (16, 16), 0.5).save(folder / "train" / CLASSES[0] / "floats.tif")


def add_pipe(folder: Path) -> None:
    os.mkfifo(folder / "train" / CLASSES[0] / "pipe.png")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (remove_pictures, "the class blue disc has no pictures: add some, or remove it."),
        (leave_one_class, "has the class blue disc only: `data_dir` needs 2 to 256 folders of pictures"),
        (shutil.rmtree, "cannot be read (No such file or directory)"),
        (damage, "green disc/001.png: a damaged picture; mend or remove it."),
        (add_twin, "has classes that differ by case alone: BLUE DISC, blue disc; rename all but one."),
        (add_test_class, "yellow disc is a class that"),
        *((add_odd_class(name), "whose name has characters that cannot be printed: rename it.") for name in ODD),
        (add_fake, "fake.png: not a picture that Pillow reads; mend or remove it."),
        (add_floats, "floats.tif: floating-point pixels; mend or remove it."),
        (add_pipe, "pipe.png: cannot be read (a pipe or a device, not a file); mend or remove it."),
    ],
)
def test_a_mistake_is_one_sentence(spoil: Callable[[Path], None], says: str, tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "pictures", train=4, test=2)
    spoil(folder)
    with pytest.raises(UsageError) as refused:
        packed(folder, None, 0.2)
    assert says in str(refused.value)
    assert "\n" not in one_line(str(refused.value))
