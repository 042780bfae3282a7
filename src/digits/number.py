"""A number in a picture: its digits in reading order, each as the 28x28 pixels that MNIST would have made of it."""

from contextlib import nullcontext
from itertools import pairwise
from math import inf
from pathlib import Path
from statistics import fmean
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL.ImageFile import ImageFile
from torch import Tensor

from src.common.pictures import PictureError, decode, opened
from src.digits.background import without_desk
from src.digits.frame import already_framed, frame
from src.digits.grey import CLOSER_SIDE, WORKING_SIDE, to_grey
from src.digits.ink import CLOSE_ENOUGH, EDGE, Box, Look, bounds, cut_out, find_ink, look, to_box

NARROW = 0.9  # times its height: a wider digit may be several, and gets a closer look
LEAST_PIXELS = 8  # of a piece, in a copy
# shares of the tallest piece's height: a digit's piece is at least as tall as the first or as wide as the second, and a
# digit as tall as the third
LEAST_HEIGHT, LEAST_WIDTH, LEAST_DIGIT = 0.15, 0.25, 0.4
MOST_LINES, MOST_DIGITS, WIDEST_GAP = 4, 24, 3  # of one number; the gap in heights of its digits

Bounds = tuple[int, int, int, int]  # top, bottom, left, right


class Digit(NamedTuple):
    """A digit in a picture: ``(28, 28)`` uint8, white ink on black, as MNIST was made, and the box around it.

    The box is left, top, right and bottom in pixels of the picture, the ends exclusive; None for classes other than
    digits.
    """

    pixels: Tensor
    box: Box | None = None


def read_number(picture: Path | BinaryIO | ImageFile) -> list[list[Digit]]:
    """Return the lines of the number in a picture, each from left to right; for most pictures one line of one digit.

    The picture is a file, an open file or an identified picture, in any format that Pillow reads.

    Raises:
        PictureError: If it is not a picture, too large, damaged or blank, or holds more than one number.
    """
    with nullcontext(picture) if isinstance(picture, ImageFile) else opened(picture) as file:
        image, factor = decode(file)
    grey = to_grey(image)
    if (pixels := already_framed(grey)) is not None:
        left, top, right, bottom = grey.getbbox() or (0, 0, 0, 0)
        return [[Digit(torch.from_numpy(pixels), to_box(top, bottom, left, right, factor))]]
    grey = without_desk(grey)
    seen = closer = look(grey, WORKING_SIDE)
    lines = _lines(_group(seen))
    if seen.factor > 1 and _may_be_several(lines):
        closer = look(grey, CLOSER_SIDE)
        lines = _lines(_group(closer))
    if max(map(len, lines), default=0) < 2:  # groups above each other are parts of one digit
        ink, (left, top, right, bottom) = find_ink(grey, seen)
        return [[Digit(torch.from_numpy(frame(ink)), to_box(top, bottom, left, right, factor))]]
    _refuse_other_than_one_number(lines)
    return [[_digit(closer, *group, factor) for group in line] for line in lines]


Group = tuple[Bounds, list[int]]  # the box around a digit, and the numbers of its pieces


def _may_be_several(lines: list[list[Group]]) -> bool:
    """Say whether a closer look may find more digits: if there are several or none, or a single wide or small digit."""
    if len(lines) != 1 or len(lines[0]) != 1:
        return True
    (((top, bottom, left, right), _),) = lines[0]
    return right - left > NARROW * (bottom - top) or bottom - top < CLOSE_ENOUGH


def _group(seen: Look) -> list[Group]:
    """Join the pieces of a digit, which lie above each other, such as a 5 and its bar."""
    pieces = seen.pieces
    top, bottom, left, right = pieces.boxes.T
    inside = pieces.inside & (pieces.areas >= LEAST_PIXELS)
    if not inside.any():
        return []
    heights, widths = bottom - top, right - left
    tallest = heights[inside].max()
    chosen = inside & ((heights >= LEAST_HEIGHT * tallest) | (widths >= LEAST_WIDTH * tallest))
    groups: list[Group] = []
    for number in np.flatnonzero(chosen)[np.argsort(-heights[chosen], kind="stable")].tolist():
        box, numbers = tuple(pieces.boxes[number].tolist()), [number]
        while (other := next((group for group in groups if _is_one_digit(group[0], box)), None)) is not None:
            groups.remove(other)
            box, numbers = _around(other[0], box), other[1] + numbers
        groups.append((box, numbers))
    highest = max(box[1] - box[0] for box, _ in groups)
    return [group for group in groups if group[0][1] - group[0][0] >= LEAST_DIGIT * highest]


def _is_one_digit(one: Bounds, other: Bounds) -> bool:
    """Say whether two boxes belong to one digit: one lies close above the other, or within the other's width."""
    overlap = min(one[3], other[3]) - max(one[2], other[2])
    narrow = min(one[3] - one[2], other[3] - other[2])
    short, tall = sorted((one[1] - one[0], other[1] - other[0]))
    gap = max(one[0], other[0]) - min(one[1], other[1])
    if overlap > 0.5 * narrow and gap <= 0:
        return True
    return overlap > 0.3 * narrow and gap < 0.25 * tall and short < 0.6 * tall


def _around(one: Bounds, other: Bounds) -> Bounds:
    return min(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), max(one[3], other[3])


def _lines(groups: list[Group]) -> list[list[Group]]:
    """Return the digits in reading order: a digit joins the line above if the middle of one lies beside the other."""
    lines: list[list[Group]] = []
    for group in sorted(groups, key=lambda group: group[0][0] + group[0][1]):
        above = [fmean(ends) for ends in zip(*(box[:2] for box, _ in lines[-1]), strict=True)] if lines else [-inf] * 2
        if sum(group[0][:2]) / 2 < above[1] or group[0][0] < sum(above) / 2:
            lines[-1].append(group)
        else:
            lines.append([group])
    return [sorted(line, key=lambda group: group[0][2]) for line in lines]


def _refuse_other_than_one_number(lines: list[list[Group]]) -> None:
    """Refuse a sudoku, a page of text and the like."""
    boxes = [box for line in lines for box, _ in line]
    height = float(np.median([box[1] - box[0] for box in boxes]))
    gaps = [box[2] - before[3] for line in lines for (before, _), (box, _) in pairwise(line)]
    if len(lines) > MOST_LINES or len(boxes) > MOST_DIGITS or max(gaps, default=0) > WIDEST_GAP * height:
        raise PictureError(f"{len(boxes)} pieces that look like digits, not one number")


def _digit(seen: Look, box: Bounds, numbers: list[int], factor: float) -> Digit:
    chosen: npt.NDArray[np.bool_] = np.zeros(len(seen.pieces.areas), bool)
    chosen[numbers] = True
    part = cut_out(seen.ink, seen.pieces, chosen)
    top, bottom, left, right = bounds(part > EDGE)
    return Digit(torch.from_numpy(frame(part[top:bottom, left:right])), to_box(*box, seen.factor * factor))
