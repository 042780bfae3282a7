"""The ink in a picture of a digit: the pixels that differ from a background, which may be shaded and noisy."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from src.common.pictures import PictureError
from src.digits.background import background, median, sample
from src.digits.grey import CLOSER_SIDE, WORKING_SIDE, Levels, shrink
from src.digits.pieces import Mask, Pieces, connected_pieces

Box = tuple[int, int, int, int]  # left, top, right and bottom in pixels, the ends exclusive

CLOSE_ENOUGH = 40  # pixels of the ink's longest side in a copy; smaller ink gets a closer look
LEAST_CONTRAST = 8  # levels, of 255, between ink and background
LEAST_SIGNAL = 8  # times the noise: the least contrast of ink
NOISE_FLOOR = 2.5  # times the noise: levels below are background
EDGE = 0.25  # the share of the full level at which ink begins
CORE = 0.4  # the share of the full level above which pixels form pieces; lines on the paper are below
LEAST_SHARE = 0.1  # a digit's piece, such as the bar of a 5, has at least this share of the largest piece's pixels
SOFT_EDGE = 2  # pixels around a piece that belong to it


class Look(NamedTuple):
    """The ink in a shrunk copy of a picture.

    Attributes:
        ink: How much of each pixel is ink, ``(H, W)``, from 0 to 1.
        pieces: The connected pieces of ink.
        factor: The height and width of a pixel of the copy, in pixels of the picture.
    """

    ink: Levels
    pieces: Pieces
    factor: float


def look(grey: Image.Image, side: int) -> Look:
    """Look for ink in a copy of a picture with sides of at most ``side`` pixels.

    Raises:
        PictureError: If there is no ink.
    """
    copy = shrink(grey, side)
    try:
        ink = separate(np.asarray(copy, np.float32))
    except PictureError:
        if side >= min(CLOSER_SIDE, max(grey.size)):
            raise
        return look(grey, CLOSER_SIDE)  # thin strokes may have vanished in so small a copy
    return Look(ink, connected_pieces(ink > CORE), max(grey.size) / max(copy.size))


def find_ink(grey: Image.Image, seen: Look | None = None) -> tuple[Levels, Box]:
    """Return the ink's rectangle, 0 = background, 1 = ink, and its box in the picture; small ink gets a closer look.

    ``seen`` is an earlier look at the picture with ``WORKING_SIDE``, if any.
    """
    seen = seen or look(grey, WORKING_SIDE)
    ink, factor = _without_residue(seen), seen.factor
    top, bottom, left, right = bounds(ink > EDGE)
    longest = max(bottom - top, right - left)
    if factor == 1 or longest >= CLOSE_ENOUGH:
        return ink[top:bottom, left:right], to_box(top, bottom, left, right, factor)
    around = longest // 2 + 2
    corners = to_box(top - around, bottom + around, left - around, right + around, factor)
    limits = (grey.width, grey.height) * 2
    left, top, right, bottom = (min(max(corner, 0), limit) for corner, limit in zip(corners, limits, strict=True))
    ink, box = find_ink(grey.crop((left, top, right, bottom)))
    return ink, (box[0] + left, box[1] + top, box[2] + left, box[3] + top)


def separate(levels: Levels) -> Levels:
    """Return how much of each pixel is ink, from 0 to 1."""
    ink = levels - background(levels)
    if (ink * ink * ink).sum() < 0:  # the pixels that differ most from the background are ink, here darker
        ink = -ink
    highest = float(ink.max())
    sampled = ink[sample(ink.shape, WORKING_SIDE)]
    noise = 1.4826 * float(median(np.abs(sampled[sampled <= highest / 2])))
    if highest < max(LEAST_CONTRAST, LEAST_SIGNAL * noise):
        raise PictureError("no ink found")
    full, floor = float(ink[ink > highest / 2].mean(dtype=np.float64)), NOISE_FLOOR * noise
    return np.asarray(np.clip((ink - floor) / (full - floor), 0, 1), np.float32)


def _without_residue(seen: Look) -> Levels:
    """Leave out small pieces, and pieces at the picture's edge (the paper's end, lines, a form's frame)."""
    ink, pieces, _ = seen
    inside = pieces.inside
    # a closely cropped digit touches the edge itself, and is far larger than the pieces inside
    has_digit_inside = (pieces.areas * inside).max() >= LEAST_SHARE * pieces.areas.max()
    chosen = inside if has_digit_inside else np.ones_like(inside)
    chosen &= pieces.areas >= LEAST_SHARE * pieces.areas[chosen].max()
    return cut_out(ink, pieces, chosen)


def cut_out(ink: Levels, pieces: Pieces, chosen: Mask) -> Levels:
    """Return the ink of the chosen pieces, a mask ``(N,)``, with the soft edge around them, and 0 elsewhere."""
    height, width = ink.shape
    kept: Mask = np.zeros((height + 2 * SOFT_EDGE, width + 2 * SOFT_EDGE), bool)
    kept[SOFT_EDGE:-SOFT_EDGE, SOFT_EDGE:-SOFT_EDGE] = np.append(chosen, False)[pieces.labels]
    for _ in range(2 * SOFT_EDGE):  # many times as fast as Pillow's MaxFilter
        kept = np.logical_or(kept[1:], kept[:-1])
    for _ in range(2 * SOFT_EDGE):
        kept = np.logical_or(kept[:, 1:], kept[:, :-1])
    return ink * kept


def bounds(mask: Mask) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of the pixels that are set."""
    height, width = mask.shape
    rows, columns = np.asarray(mask.any(axis=1)), np.asarray(mask.any(axis=0))
    ends = height - int(rows[::-1].argmax()), width - int(columns[::-1].argmax())
    return int(rows.argmax()), ends[0], int(columns.argmax()), ends[1]


def to_box(top: int, bottom: int, left: int, right: int, factor: float) -> Box:
    """Return left, top, right and bottom in a picture that is ``factor`` times larger."""
    return round(left * factor), round(top * factor), round(right * factor), round(bottom * factor)
