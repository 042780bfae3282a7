"""Any picture of a digit as the 28x28 pixels that MNIST would have made of it.

MNIST fits the ink into 20x20 pixels, keeps its shape, smooths its edges and puts its centre of mass on pixel (14, 14):
so it is in all 60,000 training images, to half a pixel (the longest side of 13 of them is 19).
"""

import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

Pixels = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.float32]

SIDE, BOX, CENTRE = 28, 20, 14
LARGEST = 4096  # a picture has at most the pixels of a square with this side
WORKING_SIDE = 112  # of the copy in which ink is looked for
CLOSE_ENOUGH = 40  # pixels of the ink's longest side in that copy; below, a closer look is taken

FITTED_SIDE = 32  # of the sample to which the background is fitted
FITTINGS = 8
RIM = 5 / 6  # of the way from the middle is where the fit begins
LEAST_CONTRAST = 8  # of 255 between ink and background
LEAST_SIGNAL = 8  # times the noise
NOISE_FLOOR = 2.5  # times the noise is black
EDGE = 0.25  # of the ink's level is where ink begins

# Pillow asks Ghostscript to run EPS, and reads these others with help of the system or of plugins only
FORMATS_LEFT_OUT = {"BUFR", "EPS", "GRIB", "HDF5", "WMF"}

# Pillow warns of large pictures; read_digit refuses smaller ones than that
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class DigitError(ValueError):
    """A picture that cannot be read as a digit; the text is a short sentence without a path."""


def read_digit(picture: Path | BinaryIO) -> Tensor:
    """Read a picture of a digit.

    Args:
        picture: A file in any format that Pillow reads, upright by its EXIF rotation, or such a file that is open.

    Returns:
        ``(28, 28)`` uint8, white ink on black, as MNIST was made.

    Raises:
        DigitError: If it is no picture, too large, damaged or blank.
    """
    try:
        if isinstance(picture, Path):
            with picture.open("rb") as file:
                return read_digit(file)
    except OSError as error:
        raise DigitError(f"cannot be read ({error.strerror})") from error
    return to_digit(_decode(picture))


def _decode(file: BinaryIO) -> Image.Image:
    too_large = f"more than {LARGEST} x {LARGEST}"
    if not Image.ID:
        Image.init()
    try:
        image = Image.open(file, formats=[name for name in Image.ID if name not in FORMATS_LEFT_OUT])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DigitError(f"{too_large} pixels") from error
    except Exception as error:  # decoders raise many types for the many ways a file can be damaged
        raise DigitError("not a picture that Pillow reads") from error
    if image.width * image.height > LARGEST**2:
        raise DigitError(f"{image.width} x {image.height} pixels are {too_large}")
    try:
        image.load()
        return ImageOps.exif_transpose(image)
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
    grey = _grey(image)
    if grey.size == (SIDE, SIDE):
        pixels = np.asarray(grey)
        if _is_framed(pixels):
            return torch.from_numpy(pixels.copy())
    ink = _ink(grey)
    return torch.from_numpy(_frame(ink))


def _is_framed(pixels: Pixels) -> bool:
    """Say whether a 28x28 picture is white on black and already fits MNIST's frame."""
    ink = pixels > 0
    if not ink.any() or ink.mean() > 0.6:
        return False
    top, bottom, left, right = _bounds(ink)
    y, x = _centre_of_mass(pixels.astype(np.float32))
    return BOX - 1 <= max(bottom - top, right - left) <= BOX and max(abs(y - CENTRE), abs(x - CENTRE)) <= 0.5


def _grey(image: Image.Image) -> Image.Image:
    """Return a picture of mode L, in which ink and background differ as much as they do in the picture."""
    if image.mode == "L":
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith(("I", "F")):
        return _stretch(np.asarray(image, np.float32))
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        image = _fill_transparent(image.convert("RGBA"))
        if image.mode == "L":
            return image
    try:
        image = image.convert("RGB")
    except ValueError:  # Pillow converts LAB with a colour profile only
        return image.getchannel(0)
    return _reduce_colours(image)


def _stretch(levels: Levels) -> Image.Image:
    low, high = levels.min(), levels.max()
    if not np.isfinite(high - low):
        raise DigitError("pixels that are no finite numbers")
    return Image.fromarray(((levels - low) * (255 / max(high - low, 1e-12))).round().astype(np.uint8))


def _fill_transparent(image: Image.Image) -> Image.Image:
    """Return the ink alone where all else is transparent, or else the picture on its own background."""
    alpha = image.getchannel("A")
    small = np.asarray(_shrink(image, WORKING_SIDE))
    opaque = small[..., 3] > 127
    if opaque.all():
        return image.convert("RGB")
    if opaque.mean() < 0.5:
        return alpha
    background = tuple(int(level) for level in np.median(small[opaque][:, :3], axis=0))
    filled = Image.new("RGB", image.size, background)
    filled.paste(image.convert("RGB"), mask=alpha)
    return filled


def _reduce_colours(image: Image.Image) -> Image.Image:
    """Project the colours on the line along which they differ most: red ink on blue may be equally bright."""
    colours = np.asarray(_shrink(image, WORKING_SIDE), np.float32).reshape(-1, 3)
    line = np.linalg.eigh(np.cov(colours, rowvar=False, bias=True))[1][:, -1]
    line = line / np.abs(line).sum()
    offset = -255 * line[line < 0].sum()
    return image.convert("L", (*map(float, line), float(offset)))


def _shrink(image: Image.Image, side: int) -> Image.Image:
    """Return an image whose longest side is at most this many pixels."""
    factor = max(image.size) / side
    if factor <= 1:
        return image
    width, height = (max(1, round(length / factor)) for length in image.size)
    return image.resize((width, height), Image.Resampling.BOX)


def _ink(grey: Image.Image) -> Levels:
    """Return the ink's rectangle, 0 = background, 1 = ink; a small one is taken from a closer look."""
    copy = _shrink(grey, WORKING_SIDE)
    ink = _separate(np.asarray(copy, np.float32))
    top, bottom, left, right = _bounds(ink > EDGE)
    longest = max(bottom - top, right - left)
    factor = max(grey.size) / max(copy.size)
    if factor == 1 or longest >= CLOSE_ENOUGH:
        return ink[top:bottom, left:right]
    around = longest // 2 + 2
    corners = (left - around, top - around, right + around, bottom + around)
    limits = (grey.width, grey.height) * 2
    box = [min(max(round(corner * factor), 0), limit) for corner, limit in zip(corners, limits, strict=True)]
    return _ink(grey.crop((box[0], box[1], box[2], box[3])))


def _separate(levels: Levels) -> Levels:
    """Return how much of each pixel is ink, from 0 to 1."""
    ink = levels - _background(levels)
    if (ink**3).sum() < 0:  # few pixels differ by much, on the ink's side
        ink = -ink
    noise = 1.4826 * float(np.median(np.abs(ink)))
    highest = float(ink.max())
    if highest < max(LEAST_CONTRAST, LEAST_SIGNAL * noise):
        raise DigitError("no ink found")
    full, floor = float(ink[ink > highest / 2].mean()), NOISE_FLOOR * noise
    return np.asarray(np.clip((ink - floor) / (full - floor), 0, 1), np.float32)


def _background(levels: Levels) -> Levels:
    """Fit a quadratic surface to the background, and not to the ink: light may come from one side."""
    height, width = levels.shape
    level = np.median(levels)
    if (levels == level).mean() > 0.5:  # drawn, not photographed
        return np.full_like(levels, level)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None].repeat(width, axis=1)
    x = np.linspace(-1, 1, width, dtype=np.float32)[None].repeat(height, axis=0)
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1)
    every = (slice(None, None, -(-height // FITTED_SIDE)), slice(None, None, -(-width // FITTED_SIDE)))
    some, values = terms[every].reshape(-1, 6), levels[every].ravel()
    rim = np.abs(some[:, 1:3]).max(axis=1) >= RIM
    fit, share = _fit(some, values, rim)
    if share < 0.5:  # the ink was cut out so closely that the rim is ink
        fit, _ = _fit(some, values, np.abs(values - level) <= np.median(np.abs(values - level)))
    return np.asarray(terms @ fit, np.float32)


def _fit(terms: Levels, values: Levels, first: npt.NDArray[np.bool_]) -> tuple[Levels, float]:
    """Fit values by iteratively reweighted least squares with Tukey's weights.

    Args:
        terms: ``(N, terms)``
        values: ``(N,)``
        first: ``(N,)``, where to begin.

    Returns:
        The factors of the terms, and the share of values that are near the fit.
    """
    apart = values - np.median(values[first])
    considered = first
    for _ in range(FITTINGS):
        spread = max(1.4826 * float(np.median(np.abs(apart[considered]))), 1)
        weights = considered * np.clip(1 - (apart / (4 * spread)) ** 2, 0, 1) ** 2
        weighted = terms * weights[:, None]
        fit = np.linalg.solve(weighted.T @ terms + 1e-3 * np.eye(6, dtype=np.float32), weighted.T @ values)
        apart = values - terms @ fit
        considered = np.ones_like(first)
    return fit, float((weights > 0).mean())


def _bounds(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of what is set."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _centre_of_mass(levels: Levels) -> tuple[float, float]:
    mass = levels.sum()
    y, x = (np.arange(length, dtype=np.float32) for length in levels.shape)
    return float(levels.sum(axis=1) @ y / mass), float(levels.sum(axis=0) @ x / mass)


def _frame(ink: Levels) -> Pixels:
    """Fit the ink's rectangle into 20x20 pixels and put its centre of mass in the middle of 28x28."""
    factor = BOX / max(ink.shape)
    height, width = (max(1, round(length * factor)) for length in ink.shape)
    picture = Image.fromarray((ink * 255).round().astype(np.uint8)).resize((width, height), Image.Resampling.BOX)
    fitted = np.asarray(picture)
    y, x = _centre_of_mass(fitted.astype(np.float32))
    top, left = (min(max(round(CENTRE - middle), 0), SIDE - length) for middle, length in ((y, height), (x, width)))
    framed = np.zeros((SIDE, SIDE), np.uint8)
    framed[top : top + height, left : left + width] = fitted
    return framed
