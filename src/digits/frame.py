"""Any picture of a digit as the 28x28 pixels that MNIST would have made of it.

MNIST fits the ink into 20x20 pixels, keeps its shape, smooths its edges and puts its centre of mass on pixel (14, 14):
so it is in all 60,000 training images, to half a pixel (the longest side of 13 of them is 19).
"""

import re
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

from src.common.files import open_regular
from src.digits.grey import DigitError, Levels, to_grey
from src.digits.ink import bounds, find_ink

Pixels = npt.NDArray[np.uint8]

SIDE, BOX, CENTRE = 28, 20, 14
LEAST_INK = 32  # of 255 is what counts as ink for its brightness
LARGEST = 8192  # a picture has at most the pixels of a square with this side: 67 megapixels, A4 at 600 dpi has 35
ENOUGH = 1024  # pixels of each side in which a digit is found and framed

# Pillow asks Ghostscript to run EPS, and reads these others with help of the system or of plugins only
FORMATS_LEFT_OUT = {"BUFR", "EPS", "GRIB", "HDF5", "WMF"}

NO_PICTURE = "not a picture that Pillow reads"
NO_HEIC = 'a HEIC picture, which needs pillow-heif: pip install --constraint constraints.txt ".[heic]"'
HEIF = "HEIF"  # Pillow's name for it
HEIC_START = re.compile(rb"....ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL)

# Pillow warns of large pictures; read_digit refuses smaller ones than that
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def read_digit(picture: Path | BinaryIO) -> Tensor:
    """Read a picture of a digit.

    Args:
        picture: A file in any format that Pillow reads, upright by its EXIF rotation, or such a file that is open.

    Returns:
        ``(28, 28)`` uint8, white ink on black, as MNIST was made.

    Raises:
        DigitError: If it is no picture, too large, damaged or blank.
    """
    with opened(picture) as file:
        return to_digit(decode(file)[0])


@contextmanager
def opened(picture: Path | BinaryIO) -> Iterator[BinaryIO]:
    """Open a picture's file, unless it is open.

    Raises:
        DigitError: If it cannot be read.
    """
    try:
        with open_regular(picture) if isinstance(picture, Path) else nullcontext(picture) as file:
            yield file
    except OSError as error:
        raise DigitError(f"cannot be read ({error.strerror})") from error


@cache
def formats() -> list[str]:
    """Return the names of the formats that are read; with the extra ``heic`` that of phones too."""
    Image.init()
    with suppress(ModuleNotFoundError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    return [name for name in Image.ID if name not in FORMATS_LEFT_OUT]


def identify(file: BinaryIO, kinds: Collection[str] | None = None) -> Image.Image:
    """Return the picture in a file before any of its pixels is decoded.

    Args:
        file: It is open.
        kinds: The names of formats to consider, or all.

    Raises:
        DigitError: If it is none, or too large.
    """
    too_large = f"more than {LARGEST} x {LARGEST}"
    try:
        image = Image.open(file, formats=[name for name in formats() if kinds is None or name in kinds])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DigitError(f"{too_large} pixels") from error
    except Exception as error:  # decoders raise many types for the many ways a file can be damaged
        file.seek(0)
        lacks_heic = HEIC_START.match(file.read(12)) and HEIF not in formats()
        raise DigitError(NO_HEIC if lacks_heic else NO_PICTURE) from error
    if image.width * image.height > LARGEST**2:
        raise DigitError(f"{image.width} x {image.height} pixels are {too_large}")
    return image


def decode(file: BinaryIO) -> tuple[Image.Image, float]:
    """Return the picture in a file, upright, and how many of the file's pixels one of its pixels is high and wide.

    Raises:
        DigitError: If it is none, too large or damaged.
    """
    image = identify(file)
    try:
        width = image.width
        image.draft(None, (ENOUGH, ENOUGH))  # a JPEG is decoded at a smaller scale, as coarse as this allows
        image.load()
        return ImageOps.exif_transpose(image), width / image.width
    except Exception as error:
        raise DigitError("a damaged picture") from error


def to_digit(image: Image.Image) -> Tensor:
    """Find the ink in a picture and frame it as MNIST's digits are framed.

    Args:
        image: A picture in any mode and of any size; its ink is darker or lighter than, or of another colour than, the
            background around it.

    Returns:
        ``(28, 28)`` uint8, white ink on black. A picture which already is such a one comes back as it is.

    Raises:
        DigitError: If there is no ink, or a pixel is not a finite number.
    """
    grey = to_grey(image)
    return torch.from_numpy(np.array(grey) if is_framed(grey) else frame(find_ink(grey)[0]))


def is_framed(grey: Image.Image) -> bool:
    """Say whether a picture has 28x28 pixels, white on black, and already fits MNIST's frame."""
    if grey.size != (SIDE, SIDE):
        return False
    pixels = np.asarray(grey)
    ink = pixels > 0
    if not ink.any() or ink.mean() > 0.6:
        return False
    top, bottom, left, right = bounds(ink)
    y, x = _centre_of_mass(pixels.astype(np.float32))
    return BOX - 1 <= max(bottom - top, right - left) <= BOX and max(abs(y - CENTRE), abs(x - CENTRE)) <= 0.5


def _centre_of_mass(levels: Levels) -> tuple[float, float]:
    mass = levels.sum()
    y, x = (np.arange(length, dtype=np.float32) for length in levels.shape)
    return float(levels.sum(axis=1) @ y / mass), float(levels.sum(axis=0) @ x / mass)


def frame(ink: Levels) -> Pixels:
    """Fit the ink's rectangle into 20x20 pixels and put its centre of mass in the middle of 28x28."""
    factor = BOX / max(ink.shape)
    height, width = (max(1, round(length * factor)) for length in ink.shape)
    kind = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.BOX  # which would leave stairs
    fitted = np.asarray(Image.fromarray((ink * 255).round().astype(np.uint8)).resize((width, height), kind))
    # half of MNIST's ink is white; a thin stroke that was averaged with what is around it became grey
    white = float(np.median(fitted[fitted > LEAST_INK])) if (fitted > LEAST_INK).any() else 255.0
    fitted = (fitted * np.float32(255 / white)).clip(0, 255).round().astype(np.uint8)
    y, x = _centre_of_mass(fitted.astype(np.float32))
    top, left = (min(max(round(CENTRE - middle), 0), SIDE - length) for middle, length in ((y, height), (x, width)))
    framed = np.zeros((SIDE, SIDE), np.uint8)
    framed[top : top + height, left : left + width] = fitted
    return framed
