"""Any picture of a digit as the 28x28 pixels that MNIST would have made of it.

MNIST fits the ink into 20x20 pixels, keeps its shape, smooths its edges and puts its centre of mass on pixel (14, 14).
This holds for all 60,000 training images, to half a pixel (in 13 of them the longest side is 19).
"""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from src.common.pictures import PictureError, Pixels, decode, opened
from src.digits.background import median, without_desk
from src.digits.grey import Levels, to_grey
from src.digits.ink import find_ink

SIDE, BOX, CENTRE = 28, 20, 14
LEAST_INK = 32  # the level, of 255, above which a pixel counts towards the ink's brightness


def read_digit(picture: str | Path | BinaryIO) -> Tensor:
    """Read a picture of a digit as ``(28, 28)`` uint8, white ink on black, as MNIST was made.

    The picture is a file, or an open file, in any format that Pillow reads; its EXIF rotation is applied.

    Raises:
        PictureError: If the file is not a picture, or the picture is too large, damaged or blank.
    """
    try:
        with opened(picture) as file:
            return to_digit(decode(file)[0])
    except PictureError as error:
        error.add_note(f"the picture: {picture}")  # for notebooks; tables and pages name it themselves
        raise


def to_digit(image: Image.Image) -> Tensor:
    """Find the ink in a picture of any mode and size and frame it as MNIST's: ``(28, 28)`` uint8, white on black.

    Ink is darker or lighter than the background around it, or of another colour. A picture that is already framed as
    MNIST's is returned unchanged.
    """
    grey = to_grey(image)
    pixels = already_framed(grey)
    return torch.from_numpy(frame(find_ink(without_desk(grey))[0]) if pixels is None else pixels)


def already_framed(grey: Image.Image) -> Pixels | None:
    """Return the pixels of a picture that fits MNIST's frame already, 28x28 and white on black; else None."""
    left, top, right, bottom = grey.getbbox() or (0, 0, 0, 0)
    if grey.size != (SIDE, SIDE) or not BOX - 1 <= max(bottom - top, right - left) <= BOX:
        return None
    pixels = np.array(grey)
    fits = all(abs(middle - CENTRE) <= 0.5 for middle in _centre_of_mass(pixels))
    return pixels if fits and np.count_nonzero(pixels) <= 0.6 * pixels.size else None


def _centre_of_mass(pixels: Pixels) -> tuple[float, float]:
    levels = pixels.astype(np.float32)  # float32 holds all these sums exactly
    y, x = (np.arange(length, dtype=np.float32) for length in levels.shape)
    mass = levels.sum()
    return float((y @ levels).sum() / mass), float((levels @ x).sum() / mass)


def frame(ink: Levels) -> Pixels:
    """Fit the ink's rectangle into 20x20 pixels and put its centre of mass in the middle of 28x28."""
    factor = BOX / max(ink.shape)
    height, width = (max(1, round(length * factor)) for length in ink.shape)
    kind = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.BOX  # BOX would leave stairs
    fitted = np.asarray(Image.fromarray((ink * 255).round().astype(np.uint8)).resize((width, height), kind))
    # half of MNIST's ink is white, but a thin stroke becomes grey when averaged with its surroundings
    inked = fitted[fitted > LEAST_INK]
    white = float(median(inked.astype(np.float32))) if len(inked) else 255.0
    fitted = np.minimum(fitted * np.float32(255 / white), 255).round().astype(np.uint8)
    y, x = _centre_of_mass(fitted)
    top, left = (min(max(round(CENTRE - middle), 0), SIDE - length) for middle, length in ((y, height), (x, width)))
    framed = np.zeros((SIDE, SIDE), np.uint8)
    framed[top : top + height, left : left + width] = fitted
    return framed
