"""The ink in a picture of a digit: what differs from a background that may be shaded and noisy."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from src.digits.grey import WORKING_SIDE, DigitError, Levels, shrink

CLOSE_ENOUGH = 40  # pixels of the ink's longest side in that copy; below, a closer look is taken
FITTED_SIDE = 32  # of the sample to which the background is fitted
FITTINGS = 8
RIM = 5 / 6  # of the way from the middle is where the fit begins
LEAST_CONTRAST = 8  # of 255 between ink and background
LEAST_SIGNAL = 8  # times the noise
NOISE_FLOOR = 2.5  # times the noise is black
EDGE = 0.25  # of the ink's level is where ink begins


def find_ink(grey: Image.Image) -> Levels:
    """Return the ink's rectangle, 0 = background, 1 = ink; a small one is taken from a closer look."""
    copy = shrink(grey, WORKING_SIDE)
    ink = _separate(np.asarray(copy, np.float32))
    top, bottom, left, right = bounds(ink > EDGE)
    longest = max(bottom - top, right - left)
    factor = max(grey.size) / max(copy.size)
    if factor == 1 or longest >= CLOSE_ENOUGH:
        return ink[top:bottom, left:right]
    around = longest // 2 + 2
    corners = (left - around, top - around, right + around, bottom + around)
    limits = (grey.width, grey.height) * 2
    box = [min(max(round(corner * factor), 0), limit) for corner, limit in zip(corners, limits, strict=True)]
    return find_ink(grey.crop((box[0], box[1], box[2], box[3])))


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


def bounds(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of what is set."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
