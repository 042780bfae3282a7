"""Charts for TensorBoard: the confusion matrix and the reliability diagram, drawn with Pillow."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from torch import Tensor

from src.common import drawing
from src.common.drawing import BLACK, TEXT, Picture

MANY_CLASSES = 20  # above this, a cell of the confusion matrix has room for one number only


def confusion(counts: Tensor, classes: Sequence[str], title: str) -> Picture:
    """Draw a confusion matrix: a row per true class, in each cell the count and its share of the row.

    Above 20 classes a cell holds only the share, in per cent, if it is at least 1 %. ``counts`` is ``(C, C)``.
    """
    from PIL import Image, ImageDraw

    many = len(classes) > MANY_CLASSES
    cell, size = (26, drawing.SMALL) if many else (54, TEXT)
    shares = (counts / counts.sum(dim=1, keepdim=True).clamp(min=1)).double().numpy()
    names = drawing.text_width(classes, size) + 10
    tilted = names > cell  # names too long for a column are written upwards
    head = names if tilted else size + 8
    notes = [f"rows: true class, columns: predicted class, {'per cent' if many else 'count and per cent'} of the row"]
    side = cell * len(classes)
    page, pen, left, top = drawing.page_of(names + side + 1, head + side + 1, title, notes)
    left, top = left + names, top + head
    # the square root makes rare mistakes visible beside a diagonal of nearly 100 %
    page.paste(Image.fromarray(drawing.enlarge(drawing.colours(np.sqrt(shares), drawing.BLUES), cell)), (left, top))
    for number, name in enumerate(classes):
        middle = number * cell + cell // 2
        pen.text((left - 8, top + middle), name, BLACK, drawing.font(size), anchor="rm")
        if tilted:
            strip = Image.new("RGB", (head, cell), drawing.WHITE)
            ImageDraw.Draw(strip).text((4, cell // 2), name, BLACK, drawing.font(size), anchor="lm")
            page.paste(strip.rotate(90, expand=True), (left + number * cell, top - head))
        else:
            pen.text((left + middle, top - 6), name, BLACK, drawing.font(size), anchor="ms")
    for line in range(len(classes) + 1):
        pen.line((left, top + line * cell, left + side, top + line * cell), drawing.LIGHT)
        pen.line((left + line * cell, top, left + line * cell, top + side), drawing.LIGHT)
    for row, column in product(range(len(classes)), repeat=2):
        share, count = shares[row, column], int(counts[row, column])
        x, y = left + column * cell + cell // 2, top + row * cell + cell // 2
        ink = drawing.WHITE if share > 0.3 else BLACK
        if many and share >= 0.01:
            pen.text((x, y), f"{100 * share:.0f}", ink, drawing.font(size), anchor="mm")
        elif not many and count:
            pen.text((x, y - 9), f"{count:,}", ink, drawing.font(size), anchor="mm")
            pen.text((x, y + 11), f"{share:.1%}", ink, drawing.font(drawing.SMALL), anchor="mm")
    return np.asarray(page)


def reliability(confidence: Tensor, accuracy: Tensor, counts: Tensor, title: str, notes: Sequence[str]) -> Picture:
    """Draw a reliability diagram: how often predictions of each confidence are right, and how many there are.

    ``confidence`` and ``accuracy`` are means and ``counts`` numbers over equally wide bins from 0 to 1: ``(bins,)``.
    """
    width, height, room, axis = 480, 400, 100, 64
    page, pen, left, top = drawing.page_of(axis + width + 20, height + 40 + room + 58, title, notes)
    left, bottom = left + axis, top + height
    bins, share = len(counts), counts / counts.sum().clamp(min=1)
    floor = bottom + 44 + room
    for tick in range(6):
        x, y = left + tick * width // 5, bottom - tick * height // 5
        pen.line((left, y, left + width, y), drawing.LIGHT)
        pen.text((left - 8, y), f"{tick / 5:.1f}", BLACK, anchor="rm")
        pen.text((x, floor + 6), f"{tick / 5:.1f}", BLACK, anchor="ma")
    for index in counts.nonzero().flatten().tolist():
        x0, x1 = left + index * width / bins + 2, left + (index + 1) * width / bins - 2
        pen.rectangle((x0, bottom - height * float(accuracy[index]), x1, bottom), drawing.BLUE)
        level = bottom - height * float(confidence[index])
        pen.line((x0 - 2, level, x1 + 2, level), drawing.ORANGE, 4)
        level = floor - (room - 20) * float(share[index])
        pen.rectangle((x0, level, x1, floor), drawing.GREY)
        count = f"{counts[index]}" if counts[index] < 10_000 else f"{counts[index] / 1000:.0f}k"
        pen.text(((x0 + x1) / 2, level - 3), count, BLACK, drawing.font(drawing.SMALL), anchor="ms")
    pen.line((left, bottom, left + width, top), BLACK)
    pen.rectangle((left, top, left + width, bottom), outline=drawing.GREY)
    pen.line((left, floor, left + width, floor), drawing.GREY)
    pen.text((left + 12, top + 12), "blue: share that is right", drawing.BLUE)
    pen.text((left + 12, top + 34), "orange: mean confidence", drawing.ORANGE)
    pen.text((left, bottom + 10), "how many predictions", BLACK)
    pen.text((left + width / 2, floor + 30), "confidence", BLACK, anchor="ma")
    return np.asarray(page)
