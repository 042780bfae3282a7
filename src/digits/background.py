"""The background of a picture of a digit: paper, which may be shaded or lie on a dark desk."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from src.digits.grey import WORKING_SIDE, Levels
from src.digits.pieces import Mask, connected_pieces

Counts = npt.NDArray[np.intp]  # of pixels, for each level from 0 to 255

EVERY_LEVEL = np.arange(256)
FITTED_SIDE = 32  # pixels, of the sample to which the background is fitted
RIDGE = 1e-3 * np.eye(6)  # else there may be no solution
FITTINGS, CLOSE = 8, 0.5  # at most so many fits, until levels, of 255, change by less
RIM = 5 / 6  # the share of the way from the middle to the edge beyond which the first fit looks
# shares: of the variance between two kinds of levels; of the pixels that are background; of the pixels that are ink
TWO_KINDS, LEAST_GROUND, MUCH_INK = 0.8, 0.15, 0.3
# shares: of the rim that is desk; of a sheet that is ink; of the rotated rectangle around a sheet that the sheet fills
LEAST_DESK, MOST_INK, LEAST_SHEET = 0.15, 0.2, 0.9
ANGLES = np.deg2rad(range(-20, 21, 4))  # of the rotated rectangle; at larger angles a thick 0 would fill it too
SOFT_SIZE = 5  # pixels across the sheet's soft edge


def background(levels: Levels) -> Levels:
    """Fit a quadratic surface to the background without the ink: light may come from one side."""
    counts = np.bincount(levels.ravel().astype(np.intp), minlength=256)
    if (ground := _ground_of_two(levels, counts)) is not None:
        return np.full_like(levels, ground)
    level = _median(counts)
    if counts[level] > 0.5 * levels.size:  # drawn, not photographed
        return np.full_like(levels, level)
    y, x, terms, is_rim = _surface(levels.shape)
    values = levels[sample(levels.shape, FITTED_SIDE)].ravel()
    fit, share = _fit(terms, values, is_rim)
    if share < 0.5:  # the picture is cropped so closely that the rim is ink
        distances = np.abs(values - level)
        fit, _ = _fit(terms, values, distances <= median(distances))
    rows, slopes = fit[0] + fit[2] * y + fit[5] * y**2, fit[1] + fit[3] * y
    return np.asarray(rows[:, None] + slopes[:, None] * x + fit[4] * x**2, np.float32)


@lru_cache(maxsize=64)
def _surface(shape: tuple[int, int]) -> tuple[Any, Any, Any, Mask]:
    """Return y and x from -1 to 1, and for the sampled pixels the surface's terms and whether they start the fit."""
    y, x = (np.linspace(-1, 1, length) for length in shape)
    rows, columns = sample(shape, FITTED_SIDE)
    v, u = (axis.ravel() for axis in np.meshgrid(y[rows], x[columns], indexing="ij"))
    terms = np.stack([np.ones_like(u), u, v, u * v, u**2, v**2], axis=-1)
    return y, x, terms, np.maximum(np.abs(u), np.abs(v)) >= RIM


def without_desk(grey: Image.Image) -> Image.Image:
    """Return a photograph of a sheet of paper, with the dark desk around the sheet painted in the paper's grey."""
    if (factor := -(-max(grey.size) // WORKING_SIDE)) == 1:
        return grey
    small = grey.reduce(factor)
    levels, threshold = np.asarray(small), _between_two_kinds(np.array(small.histogram()))
    if threshold is None or _rim(dark := levels <= threshold).mean() < LEAST_DESK:
        return grey
    pieces = connected_pieces(dark)
    sheets = connected_pieces(np.append(pieces.inside, True)[pieces.labels])
    if not len(sheets.areas):
        return grey
    sheet = sheets.labels == sheets.areas.argmax()
    if not 0 < dark[sheet].mean() < MOST_INK or _share_of_rectangle(sheet) < LEAST_SHEET:
        return grey
    kept = Image.fromarray(sheet.astype(np.uint8) * 255).filter(ImageFilter.MinFilter(SOFT_SIZE)).resize(grey.size)
    return Image.composite(grey, Image.new("L", grey.size, int(np.median(levels[sheet]))), kept)


def _share_of_rectangle(sheet: Mask) -> float:
    """Return the share of the tightest rotated rectangle around a sheet, within the picture, that the sheet fills."""
    y, x = np.indices(sheet.shape)
    area = sheet.size
    for angle in ANGLES:
        sides = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        inside = [(side >= side[sheet].min()) & (side <= side[sheet].max()) for side in sides]
        area = min(area, (inside[0] & inside[1]).sum())
    return float(sheet.sum() / area)


def sample(shape: tuple[int, ...], side: int) -> tuple[slice, ...]:
    """Return slices that take at most ``side`` pixels in each direction."""
    return tuple(slice(None, None, -(-length // side)) for length in shape)


def _median(counts: Counts) -> int:
    return int(np.searchsorted(counts.cumsum(), counts.sum() / 2))


def _ground_of_two(levels: Levels, counts: Counts) -> int | None:
    """Return the background's level if a picture is cropped so closely that much of it is ink; else None.

    Otsu's threshold (1979) separates the levels into two kinds; the background is the kind more frequent on the rim.
    """
    threshold = _between_two_kinds(counts)
    if threshold is None:
        return None
    dark = threshold >= EVERY_LEVEL
    ground = counts * (dark if (_rim(levels) <= threshold).mean() > counts[dark].sum() / levels.size else ~dark)
    return _median(ground) if LEAST_GROUND <= ground.sum() / levels.size <= 1 - MUCH_INK else None


def _between_two_kinds(counts: Counts) -> int | None:
    """Return Otsu's threshold, the last level of the darker kind, if there are two kinds of levels; else None."""
    size = counts.sum()
    share, first = counts.cumsum() / size, (counts * EVERY_LEVEL).cumsum() / size
    mean = first[-1]
    variance = counts @ (EVERY_LEVEL - mean) ** 2 / size
    parts = share * (1 - share)
    between = np.divide((mean * share - first) ** 2, parts, out=np.zeros(256), where=parts > 0)
    threshold = int(between.argmax())
    return None if between[threshold] < TWO_KINDS * variance else threshold


def _rim(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def _fit(terms: Levels, values: Levels, first: npt.NDArray[np.bool_]) -> tuple[Levels, float]:
    """Fit values, ``(N,)``, by iteratively reweighted least squares with Tukey's weights, starting from ``first``.

    Return the coefficients of the terms, ``(N, 6)``, and the share of values that are near the fit.
    """
    residuals = values - median(values[first])
    considered = residuals[first]
    for number in range(FITTINGS):
        spread = max(1.4826 * float(median(np.abs(considered))), 1)
        weights = np.maximum(1 - (residuals / (4 * spread)) ** 2, 0) ** 2 * (1 if number else first)
        weighted = terms * weights[:, None]
        fit = np.linalg.solve(weighted.T @ terms + RIDGE, weighted.T @ values)
        considered = values - terms @ fit
        if np.abs(considered - residuals).max() < CLOSE:
            break
        residuals = considered
    return fit, np.count_nonzero(weights) / len(weights)


def median(values: npt.NDArray[Any]) -> Any:
    """Return the median like ``np.median``, which takes longer to check its arguments than to find the median."""
    middle = len(values) // 2
    parted = np.partition(values, (middle - 1, middle))  # a single position takes a hundred times as long
    return parted[middle] if len(values) % 2 else (parted[middle - 1] + parted[middle]) / 2
