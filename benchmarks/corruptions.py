"""The fifteen corruptions of MNIST-C (Mu and Gilmer 2019), written anew with the authors' parameters.

``CORRUPTIONS`` is the table of the parameters: what ``corruptions.py`` of github.com/google-research/mnist-c (commit
aa07569) has at the severity that its functions have by default. What they owe to the libraries of that time is kept:
``glass_blur`` blurs along the columns alone, as scikit-image 0.15 did with ``multichannel=True``; its ``shear`` makes
digits higher too; ``motion_blur`` is ImageMagick's, on one side; the steps of ``fog`` are its amplitude squared.

Every function takes images ``(N, 28, 28)`` float64 from 0 to 1, a random generator and its parameters, and returns
images like them, which may go beyond 0 and 1. They are random by ``SEED``, corruption and position alone.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.filters import SIDE, Images, Random, blurred, edges, fractal_surface, lines, moved

SEED, AT_ONCE = 2019, 200


class Corruption(NamedTuple):
    """A corruption.

    Attributes:
        function: What makes it.
        severity: Where the authors' list has the parameters, from 1 to 5; None where they stand in the code.
        parameters: By their names.
    """

    function: Callable[..., Images]
    severity: int | None
    parameters: dict[str, float]


def corrupt(name: str, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return images ``(N, 28, 28)`` in a corruption, the same ones every time."""
    function, _, parameters = CORRUPTIONS[name]
    changed = np.empty_like(images)
    for start in range(0, len(images), AT_ONCE):
        random = np.random.default_rng([SEED, list(CORRUPTIONS).index(name), start])
        some = function(images[start : start + AT_ONCE] / 255, random, **parameters)
        changed[start : start + AT_ONCE] = (some.clip(0, 1) * 255).round()
    return changed


def shot_noise(images: Images, random: Random, photons: float) -> Images:
    """Count so few photons."""
    return random.poisson(images * photons) / photons


def impulse_noise(images: Images, random: Random, share: float) -> Images:
    """Make a share of the pixels black or white."""
    impulses = random.integers(2, size=images.shape).astype(float)
    return np.where(random.random(images.shape) < share, impulses, images)


def glass_blur(images: Images, random: Random, sigma: float, reach: int, times: int) -> Images:
    """Blur, let pixels change places with neighbours above and to the left, and blur again."""
    pixels = (blurred(images, (0, sigma, 0)) * 255).astype(np.uint8)
    every = np.arange(len(pixels))
    places = range(SIDE - reach, reach, -1)
    for _ in range(times):
        for y, x in ((y, x) for y in places for x in places):
            down, right = random.integers(-reach, reach, (2, len(pixels))) * random.integers(2, size=len(pixels))
            other = pixels[every, y + down, x + right]
            pixels[every, y + down, x + right] = pixels[every, y, x]
            pixels[every, y, x] = other
    return blurred(pixels / 255, (0, sigma, 0))


def motion_blur(images: Images, random: Random, radius: int, sigma: float, degrees: float) -> Images:
    """Blur to one side along a line: half a Gaussian, its pixels the nearest ones, those outside as at the edge."""
    angle = np.deg2rad(random.uniform(-degrees, degrees, len(images)))
    every, (y, x) = np.arange(len(images))[:, None, None], np.indices((SIDE, SIDE))
    distances = np.arange(2 * radius + 1)
    weights = np.exp(-(distances**2) / (2 * sigma**2))
    blurred = np.zeros_like(images)
    for distance, weight in zip(distances, weights / weights.sum(), strict=True):
        down, right = (
            np.ceil(distance * part - 0.5).astype(int)[:, None, None] for part in (np.sin(angle), np.cos(angle))
        )
        blurred += weight * images[every, (y + down).clip(0, SIDE - 1), (x + right).clip(0, SIDE - 1)]
    return blurred


def shear(images: Images, random: Random, angle: float) -> Images:
    """Shear to the left or to the right."""
    angles = angle * _signs(random, len(images))
    return moved(images, np.stack([np.cos(angles), 0 * angles, -np.sin(angles), 1 + 0 * angles], axis=-1))


def scale(images: Images, random: Random, factor: float) -> Images:
    """Make smaller."""
    return moved(images, np.tile([1 / factor, 0, 0, 1 / factor], (len(images), 1)))


def rotate(images: Images, random: Random, angle: float) -> Images:
    """Turn to the left or to the right."""
    angles = angle * _signs(random, len(images))
    return moved(images, np.stack([np.cos(angles), np.sin(angles), -np.sin(angles), np.cos(angles)], axis=-1))


def brightness(images: Images, random: Random, more: float) -> Images:
    """Make brighter."""
    return images + more


def translate(images: Images, random: Random, pixels: float) -> Images:
    """Move to one of the corners."""
    unmoved = np.tile([1.0, 0, 0, 1], (len(images), 1))
    return moved(images, unmoved, pixels * _signs(random, (2, len(images))))


def stripe(images: Images, random: Random, width: int) -> Images:
    """Invert columns on the left and on the right."""
    columns = np.arange(SIDE)
    return np.where((columns < width) | (columns >= SIDE - width), 1 - images, images)


def fog(images: Images, random: Random, strength: float, decay: float, side: int) -> Images:
    """Add fog, thicker in one place than in another, and darken what is below it."""
    thick = np.stack([fractal_surface(random, side, decay)[:SIDE, :SIDE] for _ in images])
    white = images.max(axis=(1, 2), keepdims=True)
    return (images + strength * thick) * white / (white + strength)


def spatter(images: Images, random: Random, mean: float, sd: float, sigma: float, level: float, soft: float) -> Images:
    """Splash grey mud on it."""
    liquid = blurred(random.normal(mean, sd, images.shape), (0, sigma, sigma))
    mud = blurred((liquid > level).astype(float), (0, soft, soft))
    mud[mud < 0.8] = 0
    return images * (1 - mud) + 63 / 255 * mud


def dotted_line(images: Images, random: Random, dash: int) -> Images:
    """Draw a dashed line from the left to the right."""
    top, bottom = random.integers(0, 27, (2, len(images))).astype(float)
    drawn = lines(0 * top, top, 0 * top + 27, bottom)
    return images + drawn * (np.arange(SIDE) // dash % 2)


def zigzag(
    images: Images, random: Random, length: float, height: float, left: float, right: float, rise: int
) -> Images:
    """Draw a zigzag line from the left to the right; its last piece is the authors', whatever they meant."""
    top = random.integers(0, 27, len(images)).astype(float)
    angle = np.arctan2(random.integers(-rise, rise, len(images)), right - left)
    whole = (right - left) / np.cos(angle)
    teeth = int((right - left - length) // (2 * length)) + 1  # as many at every angle
    along = np.stack([0 * whole, *((2 * tooth + 1) * length + 0 * whole for tooth in range(teeth)), whole])
    last = (-1) ** (teeth - 1) * height / (2 * (whole - 2 * length * (whole // (2 * length))))
    across = np.stack([0 * whole, *((-1) ** tooth * height + 0 * whole for tooth in range(teeth)), last])
    x, y = left + along * np.cos(angle) - across * np.sin(angle), top + along * np.sin(angle) + across * np.cos(angle)
    for start in range(len(x) - 1):
        images = (images + lines(x[start], y[start], x[start + 1], y[start + 1])).clip(0, 1)
    return images


def canny_edges(images: Images, random: Random, sigma: float, low: float, high: float) -> Images:
    """Leave the edges alone."""
    return edges(images, sigma, low, high).astype(float)


def _signs(random: Random, size: int | tuple[int, ...]) -> npt.NDArray[np.int64]:
    return 2 * random.integers(2, size=size) - 1


CORRUPTIONS = {
    "shot_noise": Corruption(shot_noise, 5, {"photons": 3}),
    "impulse_noise": Corruption(impulse_noise, 4, {"share": 0.17}),
    "glass_blur": Corruption(glass_blur, 1, {"sigma": 0.7, "reach": 1, "times": 2}),
    "motion_blur": Corruption(motion_blur, 1, {"radius": 10, "sigma": 3, "degrees": 45}),
    "shear": Corruption(shear, 2, {"angle": 0.4}),
    "scale": Corruption(scale, 3, {"factor": 0.7}),
    "rotate": Corruption(rotate, 2, {"angle": 0.4}),
    "brightness": Corruption(brightness, 5, {"more": 0.5}),
    "translate": Corruption(translate, 3, {"pixels": 3}),
    "stripe": Corruption(stripe, None, {"width": 7}),
    "fog": Corruption(fog, 5, {"strength": 3, "decay": 1.4, "side": 256}),
    "spatter": Corruption(spatter, 4, {"mean": 0.65, "sd": 0.3, "sigma": 1, "level": 0.65, "soft": 1.5}),
    "dotted_line": Corruption(dotted_line, None, {"dash": 2}),
    "zigzag": Corruption(zigzag, None, {"length": 2, "height": 2, "left": 2, "right": 25, "rise": 5}),
    "canny_edges": Corruption(canny_edges, None, {"sigma": 1, "low": 0.1, "high": 0.2}),
}
