"""Pictures of MNIST's images as people would have them: each harder than the file it comes from.

Every function takes a grey picture with white ink on black and a random generator, and returns a grey picture.
"""

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageOps

Variant = Callable[[Image.Image, np.random.Generator], Image.Image]

SCALES = (0.7, 12)
MARGIN = 0.6  # of the picture's side, on each side
JPEG_QUALITY = 60


def inverted(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Make it dark ink on white."""
    return ImageOps.invert(picture)


def scaled(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Scale it by 0.7 to 12, as often to a half as to the double."""
    factor = np.exp(random.uniform(*np.log(SCALES)))
    width, height = (max(round(side * factor), 1) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def with_margins(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Add up to 60 % of its side on each side, which also moves it off the centre."""
    left, top, right, bottom = (round(side * random.uniform(0, MARGIN)) for side in (*picture.size, *picture.size))
    return ImageOps.expand(picture, (left, top, right, bottom), fill=0)


def as_jpeg(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Write it as JPEG of quality 60 and read it back."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=JPEG_QUALITY)
    return Image.open(file).convert("L")


def on_paper(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Draw it with a dark pen on paper with light from one side, a soft shadow, grain and the noise of a camera."""
    width, height = picture.size
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    angle, (shadow_x, shadow_y) = random.uniform(0, 2 * np.pi), random.uniform(0, 1, 2)
    light = 1 - random.uniform(0, 0.35) * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) + 0.7) / 1.4
    distance = (x - shadow_x) ** 2 + (y - shadow_y) ** 2
    light -= random.uniform(0, 0.25) * np.exp(-distance / (2 * random.uniform(0.2, 0.6) ** 2))
    coarse = Image.fromarray(random.normal(0, 4, (height // 4 + 2, width // 4 + 2)).astype(np.float32))
    grain = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    paper, pen = random.uniform(200, 250), random.uniform(20, 90)
    ink = np.asarray(picture) / 255
    seen = (paper * (1 - ink) + pen * ink) * light + grain + random.normal(0, 6, (height, width))
    return Image.fromarray(seen.round().clip(0, 255).astype(np.uint8))


def scaled_digits(images: npt.NDArray[np.uint8], random: np.random.Generator, scale: float) -> list[Image.Image]:
    """Return the ink of images in sizes that differ by up to 15 % of a scale."""
    digits = []
    for image in images:
        digit = Image.fromarray(image)
        digit = digit.crop(digit.getbbox())
        factor = scale * random.uniform(0.85, 1.15)
        size = max(1, round(digit.width * factor)), max(1, round(digit.height * factor))
        digits.append(digit.resize(size, Image.Resampling.BICUBIC))
    return digits


def string_of_digits(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], random: np.random.Generator, length: int = 5
) -> tuple[Image.Image, str]:
    """Write random digits beside each other, of varied size and slant and at least 2 pixels apart, on paper.

    Returns:
        The picture and the number.
    """
    chosen = random.integers(0, len(images), length)
    digits = scaled_digits(images[chosen], random, random.uniform(0.8, 3))
    gaps = random.integers(2, 11, length).tolist()
    height = max(digit.height for digit in digits)
    margin = height // 2 + 4
    page = Image.new("L", (sum(digit.width for digit in digits) + sum(gaps) + 2 * margin, height + 2 * margin))
    left = margin
    for digit, gap in zip(digits, gaps, strict=True):
        shift = round(random.uniform(-0.1, 0.1) * height)
        page.paste(digit, (left, margin + (height - digit.height) // 2 + shift))
        left += digit.width + gap
    slant = random.uniform(-0.2, 0.2)
    matrix = (1, slant, -slant * page.height / 2, 0, 1, 0)
    page = page.transform(page.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return on_paper(page, random), "".join(str(labels[number]) for number in chosen)


def pair_that_touches(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], random: np.random.Generator
) -> tuple[Image.Image, str]:
    """Write two random digits so close that their strokes overlap by a pixel or two, on paper.

    Returns:
        The picture and the number.
    """
    chosen = random.integers(0, len(images), 2)
    first, second = scaled_digits(images[chosen], random, random.uniform(0.8, 3))
    height = max(first.height, second.height)
    margin = height // 2 + 4
    top, other_top = (margin + (height - digit.height) // 2 for digit in (first, second))
    page = Image.new("L", (first.width + second.width + 2 * margin, height + 2 * margin))
    page.paste(first, (margin, top))
    left = margin + first.width
    overlap, enough = 0, random.integers(1, 3)
    while overlap < enough and left > margin:
        left -= 1
        below = page.crop((left, other_top, left + second.width, other_top + second.height))
        both = np.minimum(np.asarray(below), np.asarray(second))
        overlap += bool((both > 127).any())
    region = (left, other_top, left + second.width, other_top + second.height)
    page.paste(ImageChops.lighter(page.crop(region), second), region)
    return on_paper(page, random), "".join(str(labels[number]) for number in chosen)


def all_together(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Scale it, give it margins, put it on paper or, as often, on a blackboard, and keep it as JPEG."""
    picture = on_paper(with_margins(scaled(picture, random), random), random)
    return as_jpeg(inverted(picture, random) if random.random() < 0.5 else picture, random)


VARIANTS: dict[str, Variant] = {
    "inverted": inverted,
    "scaled by 0.7 to 12": scaled,
    "margins up to 60 %": with_margins,
    "JPEG quality 60": as_jpeg,
    "paper, shading and noise": on_paper,
    "all together": all_together,
}
