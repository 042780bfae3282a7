"""Connected pieces of ink."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


class Pieces(NamedTuple):
    """The 8-connected pieces of a mask.

    Attributes:
        labels: ``(H, W)`` int, the number of each pixel's piece; ``len(areas)`` for the background.
        areas: ``(N,)`` pixels of each piece.
        boxes: ``(N, 4)`` top, bottom, left and right of each piece, the ends exclusive.
    """

    labels: npt.NDArray[np.intp]
    areas: npt.NDArray[np.intp]
    boxes: npt.NDArray[np.intp]

    @property
    def inside(self) -> Mask:
        """Whether each piece lies clear of the mask's edge, ``(N,)``."""
        top, bottom, left, right = self.boxes.T
        height, width = self.labels.shape
        return np.asarray((top > 0) & (bottom < height) & (left > 0) & (right < width))


def connected_pieces(mask: Mask) -> Pieces:
    """Find the pieces by runs, consecutive pixels of a row, which are joined where runs of two rows touch."""
    height, width = mask.shape
    padded = np.zeros((height, width + 2), np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    parents = list(range(len(rows)))

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    first = np.searchsorted(rows, np.arange(height + 1)).tolist()
    begin, end = starts.tolist(), ends.tolist()
    for row in range(1, height):
        above, last = first[row - 1], first[row]
        for run in range(last, first[row + 1]):
            while above < last and end[above] < begin[run]:
                above += 1
            other = above
            while other < last and begin[other] <= end[run]:
                parents[root(other)] = root(run)
                other += 1
    roots = [root(run) for run in range(len(rows))]
    numbers = {piece: number for number, piece in enumerate(sorted({*roots}))}
    number, count = np.array([numbers[piece] for piece in roots], np.intp), len(numbers)
    areas = np.bincount(number, ends - starts, count).astype(np.intp)
    boxes = np.zeros((count, 4), np.intp)
    boxes[:, 0], boxes[:, 2] = height, width
    np.minimum.at(boxes[:, 0], number, rows)
    np.maximum.at(boxes[:, 1], number, rows + 1)
    np.minimum.at(boxes[:, 2], number, starts)
    np.maximum.at(boxes[:, 3], number, ends)
    fill = np.zeros((height, width + 1), np.intp)
    np.add.at(fill, (rows, starts), number - count)
    np.add.at(fill, (rows, ends), count - number)
    labels = count + np.cumsum(fill[:, :width], axis=1)
    return Pieces(labels, areas, boxes)
