"""Pictures that are not MNIST's, raw and as ``predict`` reads them: a part of ``benchmarks/generalization.py``.

- **UCI optdigits** (Alpaydin and Kaynak 1998): the 1,797 test digits of 13 other writers in scikit-learn's wheel, 8 x 8
  pixels from 0 to 16. They are enlarged eight times, each pixel a square, as scikit-learn's pages show them; beside
  that, the file of 8 x 8 pixels itself is read.
- **QMNIST** (Yadav and Bottou 2019): the 50,000 test digits that MNIST left out, the last ones of its files.
- **Not a digit**: Fashion-MNIST's test images, uniform noise, pictures of one grey, and letters of fonts that come with
  Matplotlib and Pillow, in three sizes, dark on white, without those that may be taken for digits: D, O, Q, o (0), I,
  J, L, T, i, j, l, r, t (1, 7), Z, z (2), E (3), A, Y, h, y (4), S, s (5), G, b (6), B (8), P, d, g, p, q (9); small c
  is C.
"""

import io
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from torch import Tensor

from benchmarks.corruptions import CORRUPTIONS, corrupt
from src.common.errors import RunError, UsageError
from src.common.pictures import PictureError
from src.data.datasets import DatasetName
from src.data.located import locate
from src.digits.number import read_number

Pixels = npt.NDArray[np.uint8]

EVERY = 5  # of many pictures is read as predict does
LOST = 10_000  # of QMNIST's test images come before the lost ones
ENLARGED, FILES, QMNIST = "UCI optdigits", "UCI optdigits, files of 8 x 8", "QMNIST, lost test digits"
NARROW = 0.65  # of MNIST's width for its height; then each column has as much ink as UCI's
FASHION, NOISE, GREY, LETTERS = "Fashion-MNIST", "noise", "one grey", "letters"
FASHION_FOLDER = "/usr/share/datasets/fashion-mnist"  # of Debian's package dataset-fashion-mnist
DRAWN = "CFHKMNRUVWXaefkmnuvwx"
FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "cmr10",
    "cmss10",
)
SIZES = (24, 48, 96)  # pixels


class Pictures(NamedTuple):
    """Some pictures.

    Attributes:
        raw: ``(N, 28, 28)`` uint8, the pixels as the network takes MNIST's; None of pictures of other sizes.
        labels: ``(N,)`` int64; -1 of what is no digit.
        seen: ``(M, 28, 28)`` uint8, what ``predict`` gives to the network; black where it reads no single digit.
        is_read: ``(M,)`` bool, whether it reads a single digit.
        seen_labels: ``(M,)`` int64
    """

    raw: Tensor | None
    labels: Tensor
    seen: Tensor
    is_read: Tensor
    seen_labels: Tensor


def see(pixels: Pixels) -> Pixels | None:
    """Return what ``predict`` gives to the network of a PNG file of these pixels; None unless it is one digit."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    file.seek(0)
    try:
        lines = read_number(file)
    except PictureError:
        return None
    return lines[0][0].pixels.numpy() if [len(line) for line in lines] == [1] else None


def pictures(images: Iterable[Pixels], labels: Tensor | None = None, every: int = 1) -> Pictures:
    """Let ``predict`` read every such picture; they are raw pixels too if they have MNIST's size."""
    images = list(images)
    labels = torch.full((len(images),), -1) if labels is None else labels.long()
    with ProcessPoolExecutor(os.cpu_count(), initializer=partial(torch.set_num_threads, 1)) as processes:
        frames = list(processes.map(see, images[::every], chunksize=50))
    seen = [np.zeros((28, 28), np.uint8) if pixels is None else pixels for pixels in frames]
    raw = torch.from_numpy(np.stack(images)) if {image.shape for image in images} == {(28, 28)} else None
    is_read = torch.tensor([pixels is not None for pixels in frames])
    return Pictures(raw, labels, torch.from_numpy(np.stack(seen)), is_read, labels[::every])


def corrupted(images: Tensor, labels: Tensor, every: int) -> dict[str, Pictures]:
    """Return images in each of MNIST-C's corruptions."""
    return {name: pictures(corrupt(name, images.numpy()), labels, every) for name in CORRUPTIONS}


def other_digits(qmnist: str | None, most: int | None = None) -> dict[str, Pictures]:
    """Return other people's digits, as far as they are to be had, and say what is not.

    Args:
        qmnist: The folder with QMNIST's files; left out, they are downloaded.
        most: How many of each, or all.
    """
    sets: dict[str, Pictures] = {}
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        print('UCI optdigits: not measured without scikit-learn: pip install --constraint constraints.txt ".[bench]"')
    else:
        uci = load_digits()
        images, labels = (uci.images[:most] * (255 / 16)).round().astype(np.uint8), torch.tensor(uci.target[:most])
        sets[ENLARGED] = pictures(images.repeat(8, axis=1).repeat(8, axis=2), labels)
        sets[FILES] = pictures(images, labels)
    if split := test_split("QMNIST", qmnist):
        images, labels = (part[LOST:][:most] for part in split)
        sets[QMNIST] = pictures(images.numpy(), labels, EVERY)
    return sets


def like_uci(image: Pixels) -> Pixels:
    """Return a digit of MNIST's much as UCI's are made: high and narrow in 32 x 32 pixels, counted in 4 x 4 blocks."""
    digit = Image.fromarray(image)
    digit = digit.crop(digit.getbbox())
    width = min(max(round(32 * NARROW * digit.width / digit.height), 4), 32)
    bitmap = Image.new("L", (32, 32))
    bitmap.paste(digit.resize((width, 32), Image.Resampling.BICUBIC), ((32 - width) // 2, 0))
    ink = np.asarray(bitmap.filter(ImageFilter.MaxFilter(3))) > 127  # their strokes are thicker
    counts = ink.reshape(8, 4, 8, 4).sum(axis=(1, 3))
    return (counts * (255 / 16)).round().astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)


def not_digits(fashion: str, most: int | None = None) -> dict[str, Pictures]:
    """Return pictures of what is no digit.

    Args:
        fashion: The folder with Fashion-MNIST's files.
        most: How many of each, or all.
    """
    random = np.random.default_rng(0)
    sets = {
        LETTERS: pictures(letters()[:most]),
        NOISE: pictures(random.integers(256, size=(2_000, 28, 28), dtype=np.uint8)[:most]),
        GREY: pictures(np.full((28, 28), level, np.uint8) for level in range(256)),
    }
    if split := test_split("FashionMNIST", fashion):
        sets[FASHION] = pictures(split[0][:most].numpy())
    return sets


def test_split(dataset: DatasetName, folder: str | None) -> tuple[Tensor, Tensor] | None:
    """Return a data set's test images and labels, or say why there are none."""
    try:
        split = locate(dataset, folder).read("test")
    except (RunError, UsageError) as error:
        print(f"{dataset}: not measured: {error}")
        return None
    return split.images, split.labels


def letters() -> list[Pixels]:
    """Draw letters, each in a picture with a margin of half its size around it."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    drawn = []
    for size in SIZES:
        fonts = [ImageFont.truetype(folder / f"{name}.ttf", size) for name in FONTS]
        for font in (*fonts, ImageFont.load_default(size)):
            for letter in DRAWN:
                picture = Image.new("L", (2 * size, 2 * size), 255)
                ImageDraw.Draw(picture).text((size, size), letter, 0, font, "mm")
                drawn.append(np.asarray(picture))
    return drawn
