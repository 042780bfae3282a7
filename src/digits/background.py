"""The background of a picture of a digit, which may be shaded."""

import numpy as np
import numpy.typing as npt

from src.digits.grey import Levels

Counts = npt.NDArray[np.intp]  # of each level from 0 to 255

FITTED_SIDE = 32  # of the sample to which the background is fitted
FITTINGS, CLOSE = 8, 0.5  # at most; of 255, to the one before, is enough
RIM = 5 / 6  # of the way from the middle is where the fit begins
# of the variance lies between two levels; of the pixels are background, and are ink
TWO_KINDS, LEAST_GROUND, MUCH_INK = 0.8, 0.15, 0.3


def background(levels: Levels) -> Levels:
    """Fit a quadratic surface to the background, and not to the ink: light may come from one side."""
    counts = np.bincount(levels.ravel().astype(np.intp), minlength=256)
    if (ground := _ground_of_two(levels, counts)) is not None:
        return np.full_like(levels, ground)
    level = _median(counts)
    if counts[level] > 0.5 * levels.size:  # drawn, not photographed
        return np.full_like(levels, level)
    y, x = (np.linspace(-1, 1, length, dtype=np.float32) for length in levels.shape)
    every = sample(levels.shape, FITTED_SIDE)
    some_y, some_x = (some.ravel() for some in np.meshgrid(y[every[0]], x[every[1]], indexing="ij"))
    terms = np.stack([np.ones_like(some_x), some_x, some_y, some_x * some_y, some_x**2, some_y**2], axis=-1)
    values = levels[every].ravel()
    fit, share = _fit(terms, values, np.maximum(np.abs(some_x), np.abs(some_y)) >= RIM)
    if share < 0.5:  # the ink was cut out so closely that the rim is ink
        fit, _ = _fit(terms, values, np.abs(values - level) <= np.median(np.abs(values - level)))
    rows, slopes = fit[0] + fit[2] * y + fit[5] * y**2, fit[1] + fit[3] * y
    return np.asarray(rows[:, None] + slopes[:, None] * x + fit[4] * x**2, np.float32)


def sample(shape: tuple[int, ...], side: int) -> tuple[slice, ...]:
    """Return which pixels to take for at most so many in each direction."""
    return tuple(slice(None, None, -(-length // side)) for length in shape)


def _median(counts: Counts) -> int:
    return int(np.searchsorted(counts.cumsum(), counts.sum() / 2))


def _ground_of_two(levels: Levels, counts: Counts) -> int | None:
    """Return the level of the background where ink is a large part of a picture, cut out closely; else None.

    Such levels are of two kinds, which Otsu's threshold (1979) parts, and the background has more of the rim.
    """
    share, first = counts.cumsum() / levels.size, (counts * np.arange(256)).cumsum() / levels.size
    mean = first[-1]
    variance = counts @ (np.arange(256) - mean) ** 2 / levels.size
    with np.errstate(divide="ignore", invalid="ignore"):
        between = np.nan_to_num((mean * share - first) ** 2 / (share * (1 - share)))
    threshold = int(between.argmax())
    dark = np.arange(256) <= threshold
    rim = np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]]) <= threshold
    ground = counts * (dark if rim.mean() > share[threshold] else ~dark)
    if between[threshold] < TWO_KINDS * variance or not LEAST_GROUND <= ground.sum() / levels.size <= 1 - MUCH_INK:
        return None
    return _median(ground)


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
        before, apart = apart, values - terms @ fit
        if np.abs(apart - before).max() < CLOSE:
            break
        considered = np.ones_like(first)
    return fit, float((weights > 0).mean())
