"""What the corruptions of ``benchmarks/corruptions.py`` are made with: moves, lines, edges, fog."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Images = npt.NDArray[np.float64]
Random = np.random.Generator

SIDE = 28
REACH = 2.3  # pixels from the middle of a drawn line, where it is dark, to where its darkness' logarithm ends


def blurred(images: Images, sigma: tuple[float, float, float]) -> Images:
    """Blur by a Gaussian, outside as at the edge."""
    return ndimage.gaussian_filter(images, sigma, mode="nearest")


def moved(images: Images, matrices: Images, offsets: npt.NDArray[Any] | None = None) -> Images:
    """Take each pixel from where a matrix ``(N, 4)``, around the middle, and an offset ``(2, N)`` lead."""
    middle = (SIDE - 1) / 2
    y, x = np.indices((SIDE, SIDE)) - middle
    yy, yx, xy, xx = matrices.T[:, :, None, None]
    down, right = (0, 0) if offsets is None else offsets[:, :, None, None]
    places = [yy * y + yx * x + middle + down, xy * y + xx * x + middle + right]
    number = np.broadcast_to(np.arange(len(images))[:, None, None], images.shape)
    return ndimage.map_coordinates(images, [number, *places], order=1, mode="grid-constant")


def lines(left: Images, top: Images, right: Images, bottom: Images) -> Images:
    """Draw a line on each image, dark in its middle; ends are ``(N,)``."""
    x = np.arange(SIDE)
    left, top, right, bottom = (end[:, None] for end in (left, top, right, bottom))
    height = top + (bottom - top) / (right - left) * (x - left)  # (N, columns)
    distance = np.abs(x[:, None] - height[:, None, :]).clip(0, REACH - 1e-10)
    drawn = (np.log(1 - distance / REACH) + 1).clip(0, 1)
    return drawn * ((x >= np.floor(left)) & (x < np.ceil(right)))[:, None, :]


def edges(images: Images, sigma: float, low: float, high: float) -> npt.NDArray[np.bool_]:
    """Find edges, one pixel wide, as Canny (1986) does: those above ``low`` that lead to one above ``high``."""
    inside = ndimage.gaussian_filter(np.ones((SIDE, SIDE)), sigma, mode="constant")
    smooth = ndimage.gaussian_filter(images, (0, sigma, sigma), mode="constant") / inside
    down, right = (
        ndimage.correlate1d(ndimage.correlate1d(smooth, [-1, 0, 1], axis), [1, 2, 1], 3 - axis) for axis in (1, 2)
    )
    steep = np.hypot(down, right)
    longest = np.maximum(np.abs(down), np.abs(right)).clip(1e-12)
    number, y, x = np.indices(images.shape)
    edges = steep >= low
    for side in (-1, 1):  # the steepest along the slope
        place = [number, y + side * down / longest, x + side * right / longest]
        edges &= steep >= ndimage.map_coordinates(steep, place, order=1, mode="nearest")
    edges[:, [0, -1]] = edges[:, :, [0, -1]] = False
    neighbours = np.zeros((3, 3, 3))
    neighbours[1] = 1
    labels, _ = ndimage.label(edges, neighbours)
    return edges & np.isin(labels, np.unique(labels[edges & (steep >= high)]))


def fractal_surface(random: Random, side: int, decay: float) -> Images:
    """Make heights from 0 to 1, ``(side, side)``, whose ends meet, by diamond and square (Fournier et al. 1982)."""
    heights = np.zeros((side, side))
    step, amplitude = side, 100.0
    while step > 1:
        half = step // 2
        spread = amplitude**2
        corners, centres = heights[::step, ::step], heights[half::step, half::step]
        below, right = np.roll(corners, -1, axis=0), np.roll(corners, -1, axis=1)
        noise = random.uniform(-spread, spread, (3, *corners.shape))
        centres[:] = (corners + below + right + np.roll(below, -1, axis=1)) / 4 + noise[0]
        heights[::step, half::step] = (corners + right + centres + np.roll(centres, 1, axis=0)) / 4 + noise[1]
        heights[half::step, ::step] = (corners + below + centres + np.roll(centres, 1, axis=1)) / 4 + noise[2]
        step, amplitude = half, amplitude / decay
    heights -= heights.min()
    return heights / heights.max()
