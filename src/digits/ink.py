"""The ink in a picture of a digit: what differs from a background that may be shaded and noisy."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from src.digits.grey import WORKING_SIDE, DigitError, Levels, shrink
from src.digits.pieces import Pieces, connected_pieces

Box = tuple[int, int, int, int]  # left, top, right and bottom in pixels, the ends exclusive

CLOSE_ENOUGH = 40  # pixels of the ink's longest side in that copy; below, a closer look is taken
FITTED_SIDE = 32  # of the sample to which the background is fitted
FITTINGS = 8
RIM = 5 / 6  # of the way from the middle is where the fit begins
LEAST_CONTRAST = 8  # of 255 between ink and background
LEAST_SIGNAL = 8  # times the noise
NOISE_FLOOR = 2.5  # times the noise is black
# of the variance lies between two levels; of the pixels are background, and are ink
TWO_KINDS, LEAST_GROUND, MUCH_INK = 0.8, 0.15, 0.3
EDGE = 0.25  # of the ink's level is where ink begins
CORE = 0.4  # of it is what pieces are made of, which lines on the paper are not
LEAST_SHARE = 0.1  # of the largest piece's pixels has a piece of the digit, such as the bar of a 5
SOFT_EDGE = 2  # pixels around a piece that belong to it


def find_ink(grey: Image.Image) -> tuple[Levels, Box]:
    """Return the ink's rectangle, 0 = background, 1 = ink, and its place; a small one is taken from a closer look.

    Raises:
        DigitError: If there is none.
    """
    copy = shrink(grey, WORKING_SIDE)
    ink = _without_residue(separate(np.asarray(copy, np.float32)))
    top, bottom, left, right = bounds(ink > EDGE)
    longest = max(bottom - top, right - left)
    factor = max(grey.size) / max(copy.size)
    if factor == 1 or longest >= CLOSE_ENOUGH:
        return ink[top:bottom, left:right], to_box(top, bottom, left, right, factor)
    around = longest // 2 + 2
    corners = to_box(top - around, bottom + around, left - around, right + around, factor)
    limits = (grey.width, grey.height) * 2
    left, top, right, bottom = (min(max(corner, 0), limit) for corner, limit in zip(corners, limits, strict=True))
    ink, box = find_ink(grey.crop((left, top, right, bottom)))
    return ink, (box[0] + left, box[1] + top, box[2] + left, box[3] + top)


def separate(levels: Levels) -> Levels:
    """Return how much of each pixel is ink, from 0 to 1.

    Raises:
        DigitError: If nothing differs enough from the background.
    """
    ink = levels - _background(levels)
    if (ink**3).sum() < 0:  # few pixels differ by much, on the ink's side
        ink = -ink
    highest = float(ink.max())
    noise = 1.4826 * float(np.median(np.abs(ink[ink <= highest / 2])))
    if highest < max(LEAST_CONTRAST, LEAST_SIGNAL * noise):
        raise DigitError("no ink found")
    full, floor = float(ink[ink > highest / 2].mean()), NOISE_FLOOR * noise
    return np.asarray(np.clip((ink - floor) / (full - floor), 0, 1), np.float32)


def _without_residue(ink: Levels) -> Levels:
    """Leave out what is not the digit: small pieces, and those at the edge (paper's end, lines, a form's frame)."""
    pieces = connected_pieces(ink > CORE)
    top, bottom, left, right = pieces.boxes.T
    inside = (top > 0) & (bottom < ink.shape[0]) & (left > 0) & (right < ink.shape[1])
    # a digit that was cut out closely touches the edge itself, and is far larger than what is inside
    has_digit_inside = (pieces.areas * inside).max() >= LEAST_SHARE * pieces.areas.max()
    chosen = inside if has_digit_inside else np.ones_like(inside)
    chosen &= pieces.areas >= LEAST_SHARE * pieces.areas[chosen].max()
    return cut_out(ink, pieces, chosen)


def cut_out(ink: Levels, pieces: Pieces, chosen: npt.NDArray[np.bool_]) -> Levels:
    """Return the ink of some pieces, ``(N,)``, with the soft edge around them, and 0 elsewhere."""
    kept = np.append(chosen, False)[pieces.labels]
    around = np.asarray(Image.fromarray(kept.astype(np.uint8)).filter(ImageFilter.MaxFilter(2 * SOFT_EDGE + 1)))
    return np.where(around > 0, ink, np.float32(0))


def _background(levels: Levels) -> Levels:
    """Fit a quadratic surface to the background, and not to the ink: light may come from one side."""
    height, width = levels.shape
    if (ground := _ground_of_two(levels)) is not None:
        return np.full_like(levels, ground)
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


def _ground_of_two(levels: Levels) -> float | None:
    """Return the level of the background where ink is a large part of a picture, cut out closely; else None.

    Such levels are of two kinds, which Otsu's threshold (1979) parts, and the background has more of the rim.
    """
    counts = np.bincount(levels.ravel().astype(np.intp), minlength=256).astype(np.float64)
    share, first = counts.cumsum() / levels.size, (counts * np.arange(256)).cumsum() / levels.size
    mean, variance = first[-1], levels.var()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = np.nan_to_num((mean * share - first) ** 2 / (share * (1 - share)))
    threshold = int(between.argmax())
    dark = levels <= threshold
    rim = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
    ground = dark if rim.mean() > dark.mean() else ~dark
    if between[threshold] < TWO_KINDS * variance or not LEAST_GROUND <= ground.mean() <= 1 - MUCH_INK:
        return None
    return float(np.median(levels[ground]))


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


def to_box(top: int, bottom: int, left: int, right: int, factor: float) -> Box:
    """Return left, top, right and bottom in a picture that is so many times larger."""
    return round(left * factor), round(top * factor), round(right * factor), round(bottom * factor)
