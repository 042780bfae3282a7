"""A picture of any mode in grey, with as much contrast between ink and background as in the picture."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from src.common.pictures import PictureError

Levels = npt.NDArray[np.float32]

WORKING_SIDE = 112  # pixels, of the copy that is searched for colours and ink
CLOSER_SIDE = 320  # pixels, of the copy that is searched for several digits and thin strokes
LARGEST_SPREAD = 128  # levels, of 255, of ink on a transparent background; opaque pixels with more spread are a picture


def to_grey(image: Image.Image) -> Image.Image:
    """Return a picture in mode L that keeps the contrast between ink and background."""
    if image.mode == "La":  # Pillow converts it to no other mode
        image = image.convert("LA")
    if image.mode == "L":
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith(("I", "F")):
        return _stretch(np.asarray(image, np.float32))
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "RGBa"):
        image = _fill_transparent(image.convert("RGBA"))
        if image.mode == "L":
            return image
    return _reduce_colours(image.convert("RGB"))


def _stretch(levels: Levels) -> Image.Image:
    low, high = levels.min(), levels.max()
    if not np.isfinite(high - low):
        raise PictureError("pixels that are not finite numbers")
    return Image.fromarray(((levels - low) * (255 / max(high - low, 1e-12))).round().astype(np.uint8))


def _fill_transparent(image: Image.Image) -> Image.Image:
    """Return the ink alone if all else is transparent, else the picture on its median colour."""
    alpha = image.getchannel("A")
    small = np.asarray(shrink(image, WORKING_SIDE))
    opaque = small[..., 3] > 127
    if opaque.all():
        return image.convert("RGB")
    light = small[..., :3].astype(np.float32).mean(axis=-1)[opaque]
    if opaque.mean() < 0.5 and (not light.size or np.ptp(light) < LARGEST_SPREAD):
        return alpha
    background = tuple(int(level) for level in np.median(small[opaque][:, :3], axis=0))
    filled = Image.new("RGB", image.size, background)
    filled.paste(image.convert("RGB"), mask=alpha)
    return filled


def _reduce_colours(image: Image.Image) -> Image.Image:
    """Project the colours on the line along which they differ most: red ink and blue paper may be equally bright."""
    colours = np.asarray(shrink(image, WORKING_SIDE), np.float32).reshape(-1, 3)
    line = np.linalg.eigh(np.cov(colours, rowvar=False, bias=True))[1][:, -1]
    line = line / np.copysign(np.abs(line).sum(), line.sum())  # else LAPACK decides which end is light
    offset = -255 * line[line < 0].sum()
    return image.convert("L", (*map(float, line), float(offset)))


def shrink(image: Image.Image, side: int) -> Image.Image:
    """Return an image whose longest side is at most ``side`` pixels."""
    factor = max(image.size) / side
    if factor <= 1:
        return image
    width, height = (max(1, round(length / factor)) for length in image.size)
    return image.resize((width, height), Image.Resampling.BOX)
