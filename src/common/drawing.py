"""Pictures for TensorBoard as arrays ``(height, width, 3)`` uint8, drawn with Pillow.

Pillow comes with torchvision, has a font of its own (ASCII) and draws each of these in some ten milliseconds. Colours
are ColorBrewer's Blues and PuOr, which keep their order for every kind of colour blindness.
"""

import io
from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Picture = npt.NDArray[np.uint8]
Palette = npt.NDArray[np.int_]

BLUES = np.array([(255, 255, 255), (198, 219, 239), (107, 174, 214), (33, 113, 181), (8, 48, 107)])
PURPLE_ORANGE = np.array([(84, 39, 136), (153, 142, 195), (247, 247, 247), (241, 163, 64), (179, 88, 6)])
BLUE, ORANGE = (33, 113, 181), (217, 95, 2)
WHITE, LIGHT, GREY, BLACK = (255, 255, 255), (225, 225, 225), (120, 120, 120), (20, 20, 20)
MARGIN = 14
TITLE, TEXT, SMALL = 20, 15, 12
MANY_CLASSES = 20  # above, a cell of the confusion matrix has room for one number only


@cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _width(texts: Sequence[str], size: int) -> int:
    return max((int(np.ceil(_font(size).getlength(text))) for text in texts), default=0)


def _page(width: int, height: int, title: str, notes: Sequence[str] = ()) -> "tuple[Image, ImageDraw, int, int]":
    """Return a white page with a heading and room for ``width`` x ``height``, its pen, and where that room begins."""
    from PIL import Image, ImageDraw

    top = MARGIN + TITLE + 12 + len(notes) * (TEXT + 5) + (6 if notes else 0)
    width = max(width, _width([title], TITLE), _width(notes, TEXT))
    page = Image.new("RGB", (width + 2 * MARGIN, top + height + MARGIN), WHITE)
    pen = ImageDraw.Draw(page)
    pen.text((MARGIN, MARGIN), title, BLACK, _font(TITLE))
    for number, note in enumerate(notes):
        pen.text((MARGIN, MARGIN + TITLE + 8 + number * (TEXT + 5)), note, GREY, _font(TEXT))
    return page, pen, MARGIN, top


def _colours(values: npt.NDArray[Any], palette: Palette) -> Picture:
    """Give values between 0 and 1, of any shape, the colours of a palette, in 65 steps."""
    # steps too small to see make a smaller PNG, sooner
    steps = np.linspace(0, 1, 65)
    table = np.stack([np.interp(steps, np.linspace(0, 1, len(palette)), channel) for channel in palette.T], axis=-1)
    return table.round().astype(np.uint8)[(values * 64).round().astype(np.intp)]


def _enlarge(pixels: npt.NDArray[Any], scale: int) -> npt.NDArray[Any]:
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)


def sheet(
    images: Tensor, captions: Sequence[Sequence[str]], title: str, notes: Sequence[str] = (), columns: int = 5,
    scale: int = 3,
) -> Picture:  # fmt: skip
    """Draw images, white ink on black, with lines of text below each.

    Args:
        images: ``(N, H, W)`` of any type; the darkest pixel of all is drawn black, the brightest white.
        captions: N times the same number of lines.
        title: The heading.
        notes: Lines below the heading.
        columns: Images in a row; the width of a column is that of its widest text.
        scale: Pixels of the picture for one of an image.
    """
    from PIL import Image

    pixels = images.numpy().astype(np.float32)
    low, high = (pixels.min(), pixels.max()) if pixels.size else (0, 0)
    tiles = ((pixels - low) * (255 / max(high - low, 1e-12))).round().astype(np.uint8)
    side = images.shape[-1] * scale
    lines = len(captions[0]) if len(captions) else 0
    step_x = max(side, _width([line for caption in captions for line in caption], TEXT)) + 8
    step_y = side + lines * (TEXT + 3) + 12
    rows = -(-len(tiles) // columns)
    page, pen, left, top = _page(min(columns, max(len(tiles), 1)) * step_x - 8, rows * step_y - 8, title, notes)
    for number, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        x, y = left + number % columns * step_x, top + number // columns * step_y
        page.paste(Image.fromarray(_enlarge(tile, scale)), (x + (step_x - 8 - side) // 2, y))
        for line, text in enumerate(caption):
            middle = x + (step_x - 8) // 2
            pen.text((middle, y + side + 3 + line * (TEXT + 3)), text, BLACK, _font(TEXT), anchor="ma")
    return np.asarray(page)


def to_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return the content of a PNG file: of a picture in colour, or of ``(height, width)`` in grey."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def beside(one: Picture, other: Picture) -> Picture:
    """Put two pictures side by side on white."""
    height = max(len(one), len(other))
    padded = [np.pad(each, ((0, height - len(each)), (0, 0), (0, 0)), constant_values=255) for each in (one, other)]
    return np.concatenate([padded[0], np.full((height, MARGIN, 3), 255, np.uint8), padded[1]], axis=1)


def weights(weight: Tensor, title: str, scale: int = 2) -> Picture:
    """Draw the weights of units as tiles, orange above zero, purple below, white at zero, with a scale.

    Args:
        weight: ``(units, H, W)`` float32.
        title: The heading.
        scale: Pixels of the picture for one weight.
    """
    from PIL import Image
    from torchvision.utils import make_grid  # which takes seconds, and predict draws only sheets

    limit = max(float(np.quantile(np.abs(weight.numpy()), 0.999)), 1e-12)
    columns = int(np.ceil(np.sqrt(len(weight))))
    grid = make_grid(weight[:, None], nrow=columns, padding=1, pad_value=float("nan"))[0].numpy()
    pixels = _colours(np.nan_to_num(grid / (2 * limit) + 0.5, nan=0.5).clip(0, 1), PURPLE_ORANGE)
    pixels[np.isnan(grid)] = 90
    pixels = _enlarge(pixels, scale)
    page, pen, left, top = _page(pixels.shape[1], len(pixels) + TEXT + 16, title)
    page.paste(Image.fromarray(pixels), (left, top))
    bar = _enlarge(_colours(np.linspace(0, 1, 101)[None], PURPLE_ORANGE), TEXT)[:, : 101 * 2 * TEXT : TEXT // 2]
    low, high = f"-{limit:.2f} or less", f"{limit:.2f} or more"
    x, y = left, top + len(pixels) + 10
    pen.text((x, y), low, BLACK, _font(TEXT))
    x += _width([low], TEXT) + 8
    page.paste(Image.fromarray(bar), (x, y))
    pen.text((x + bar.shape[1] + 8, y), high, BLACK, _font(TEXT))
    return np.asarray(page)


def confusion(counts: Tensor, classes: Sequence[str], title: str) -> Picture:
    """Draw a confusion matrix: a row per true class, in each cell the count and its share of the row.

    Above 20 classes a cell holds the share alone, in per cent, where it is at least one.

    Args:
        counts: ``(C, C)`` int64, true class by predicted class.
        classes: The C names.
        title: The heading.
    """
    from PIL import Image, ImageDraw

    many = len(classes) > MANY_CLASSES
    cell, size = (26, SMALL) if many else (54, TEXT)
    shares = (counts / counts.sum(dim=1, keepdim=True).clamp(min=1)).double().numpy()
    names = _width(classes, size) + 10
    tilted = names > cell  # names too long for a column are written upwards
    head = names if tilted else size + 8
    notes = [f"rows: true class, columns: predicted class, {'per cent' if many else 'count and per cent'} of the row"]
    side = cell * len(classes)
    page, pen, left, top = _page(names + side + 1, head + side + 1, title, notes)
    left, top = left + names, top + head
    # the square root makes rare mistakes visible beside a diagonal of nearly 100 %
    page.paste(Image.fromarray(_enlarge(_colours(np.sqrt(shares), BLUES), cell)), (left, top))
    for number, name in enumerate(classes):
        middle = number * cell + cell // 2
        pen.text((left - 8, top + middle), name, BLACK, _font(size), anchor="rm")
        if tilted:
            strip = Image.new("RGB", (head, cell), WHITE)
            ImageDraw.Draw(strip).text((4, cell // 2), name, BLACK, _font(size), anchor="lm")
            page.paste(strip.rotate(90, expand=True), (left + number * cell, top - head))
        else:
            pen.text((left + middle, top - 6), name, BLACK, _font(size), anchor="ms")
    for line in range(len(classes) + 1):
        pen.line((left, top + line * cell, left + side, top + line * cell), LIGHT)
        pen.line((left + line * cell, top, left + line * cell, top + side), LIGHT)
    for row, column in product(range(len(classes)), repeat=2):
        share, count = shares[row, column], int(counts[row, column])
        x, y = left + column * cell + cell // 2, top + row * cell + cell // 2
        ink = WHITE if share > 0.3 else BLACK
        if many and share >= 0.01:
            pen.text((x, y), f"{100 * share:.0f}", ink, _font(size), anchor="mm")
        elif not many and count:
            pen.text((x, y - 9), f"{count:,}", ink, _font(size), anchor="mm")
            pen.text((x, y + 11), f"{share:.1%}", ink, _font(SMALL), anchor="mm")
    return np.asarray(page)


def reliability(confidence: Tensor, accuracy: Tensor, counts: Tensor, title: str, notes: Sequence[str]) -> Picture:
    """Draw a reliability diagram: how often predictions of each confidence are right, and how many they are.

    Args:
        confidence: ``(bins,)`` mean confidence of the predictions in each of equally wide bins from 0 to 1.
        accuracy: ``(bins,)`` share of them that is right.
        counts: ``(bins,)`` how many they are.
        title: The heading.
        notes: Lines below the heading.
    """
    width, height, room, axis = 480, 400, 100, 64
    page, pen, left, top = _page(axis + width + 20, height + 40 + room + 58, title, notes)
    left, bottom = left + axis, top + height
    bins, share = len(counts), counts / counts.sum().clamp(min=1)
    floor = bottom + 44 + room
    for tick in range(6):
        x, y = left + tick * width // 5, bottom - tick * height // 5
        pen.line((left, y, left + width, y), LIGHT)
        pen.text((left - 8, y), f"{tick / 5:.1f}", BLACK, _font(TEXT), anchor="rm")
        pen.text((x, floor + 6), f"{tick / 5:.1f}", BLACK, _font(TEXT), anchor="ma")
    for index in range(bins):
        if counts[index]:
            x0, x1 = left + index * width / bins + 2, left + (index + 1) * width / bins - 2
            pen.rectangle((x0, bottom - height * float(accuracy[index]), x1, bottom), BLUE)
            level = bottom - height * float(confidence[index])
            pen.line((x0 - 2, level, x1 + 2, level), ORANGE, 4)
            level = floor - (room - 20) * float(share[index])
            pen.rectangle((x0, level, x1, floor), GREY)
            pen.text(((x0 + x1) / 2, level - 3), _short(int(counts[index])), BLACK, _font(SMALL), anchor="ms")
    pen.line((left, bottom, left + width, top), BLACK)
    pen.rectangle((left, top, left + width, bottom), outline=GREY)
    pen.line((left, floor, left + width, floor), GREY)
    pen.text((left + 12, top + 12), "blue: share that is right", BLUE, _font(TEXT))
    pen.text((left + 12, top + 34), "orange: mean confidence", ORANGE, _font(TEXT))
    pen.text((left, bottom + 10), "how many predictions", BLACK, _font(TEXT))
    pen.text((left + width / 2, floor + 30), "confidence", BLACK, _font(TEXT), anchor="ma")
    return np.asarray(page)


def _short(count: int) -> str:
    return str(count) if count < 10_000 else f"{count / 1000:.0f}k"
