"""Pictures for TensorBoard as arrays ``(height, width, 3)`` uint8, drawn with Pillow and its built-in font (ASCII).

The colours are ColorBrewer's Blues and PuOr, which keep their order for every kind of colour blindness.
"""

import io
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Picture = npt.NDArray[np.uint8]

BLUES = np.array([(255, 255, 255), (198, 219, 239), (107, 174, 214), (33, 113, 181), (8, 48, 107)])
PURPLE_ORANGE = np.array([(84, 39, 136), (153, 142, 195), (247, 247, 247), (241, 163, 64), (179, 88, 6)])
BLUE, ORANGE = (33, 113, 181), (217, 95, 2)
WHITE, LIGHT, GREY, BLACK = (255, 255, 255), (225, 225, 225), (120, 120, 120), (20, 20, 20)
MARGIN = 14
TITLE, TEXT, SMALL = 20, 15, 12


@cache
def font(size: int) -> Any:
    """Return Pillow's built-in font in a size."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def text_width(texts: Sequence[str], size: int) -> int:
    """Return the width of the widest text, in pixels."""
    return max((int(np.ceil(font(size).getlength(text))) for text in texts), default=0)


def page_of(width: int, height: int, title: str, notes: Sequence[str] = ()) -> "tuple[Image, ImageDraw, int, int]":
    """Return a white page with a heading and room for ``width`` x ``height``, a pen, and the room's left and top."""
    from PIL import Image, ImageDraw

    top = MARGIN + TITLE + 12 + len(notes) * (TEXT + 5) + (6 if notes else 0)
    width = max(width, text_width([title], TITLE), text_width(notes, TEXT))
    page = Image.new("RGB", (width + 2 * MARGIN, top + height + MARGIN), WHITE)
    pen = ImageDraw.Draw(page)
    pen.font = font(TEXT)
    pen.text((MARGIN, MARGIN), title, BLACK, font(TITLE))
    for number, note in enumerate(notes):
        pen.text((MARGIN, MARGIN + TITLE + 8 + number * (TEXT + 5)), note, GREY)
    return page, pen, MARGIN, top


def colours(values: npt.NDArray[Any], palette: npt.NDArray[np.int_]) -> Picture:
    """Map values between 0 and 1, of any shape, to the colours of a palette, in 65 steps."""
    # steps too small to see make a PNG smaller and quicker to write
    steps = np.linspace(0, 1, 65)
    table = np.stack([np.interp(steps, np.linspace(0, 1, len(palette)), channel) for channel in palette.T], axis=-1)
    return table.round().astype(np.uint8)[(values * 64).round().astype(np.intp)]


def enlarge(pixels: npt.NDArray[Any], scale: int) -> npt.NDArray[Any]:
    """Repeat each pixel ``scale`` times in both directions."""
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)


def sheet(
    images: Tensor, captions: Sequence[Sequence[str]], title: str, notes: Sequence[str] = (), columns: int = 5,
    scale: int = 3,
) -> Picture:  # fmt: skip
    """Draw images, white ink on black, with lines of text below each; a column is as wide as the widest line.

    ``images`` are ``(N, H, W)`` or ``(N, H, W, C)`` of any type, C being 1 or 3; the darkest value of all is drawn
    black, the brightest white. Each pixel of an image becomes ``scale`` x ``scale`` pixels.
    """
    from PIL import Image

    pixels = images.numpy().astype(np.float32)
    low, high = (pixels.min(), pixels.max()) if pixels.size else (0, 0)
    tiles = ((pixels - low) * (255 / max(high - low, 1e-12))).round().astype(np.uint8)
    tiles = tiles[..., 0] if tiles.shape[3:] == (1,) else tiles
    height, side = images.shape[1] * scale, images.shape[2] * scale
    step_x = max(side, text_width([line for caption in captions for line in caption], TEXT)) + 8
    step_y = height + max(map(len, captions), default=0) * (TEXT + 3) + 12
    rows = -(-len(tiles) // columns)
    page, pen, left, top = page_of(min(columns, max(len(tiles), 1)) * step_x - 8, rows * step_y - 8, title, notes)
    for number, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        x, y = left + number % columns * step_x, top + number // columns * step_y
        page.paste(Image.fromarray(enlarge(tile, scale)), (x + (step_x - 8 - side) // 2, y))
        for line, text in enumerate(caption):
            middle = x + (step_x - 8) // 2
            pen.text((middle, y + height + 3 + line * (TEXT + 3)), text, BLACK, anchor="ma")
    return np.asarray(page)


def to_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return the content of a PNG file, of a picture in colour or a grey picture, ``(height, width)``."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def beside(one: Picture, other: Picture) -> Picture:
    """Put two pictures side by side on white."""
    height = max(len(one), len(other))
    page = np.full((height, one.shape[1] + MARGIN + other.shape[1], 3), 255, np.uint8)
    page[: len(one), : one.shape[1]] = one
    page[: len(other), -other.shape[1] :] = other
    return page


def weights(weight: Tensor, title: str, scale: int = 2) -> Picture:
    """Draw weights ``(units, H, W)`` as tiles, orange above zero, purple below, white at zero, with a scale."""
    from PIL import Image
    from torchvision.utils import make_grid  # the import takes seconds, and predict draws sheets only

    limit = max(float(np.quantile(np.abs(weight.numpy()), 0.999)), 1e-12)
    columns = int(np.ceil(np.sqrt(len(weight))))
    grid = make_grid(weight[:, None], nrow=columns, padding=1, pad_value=float("nan"))[0].numpy()
    pixels = colours(np.nan_to_num(grid / (2 * limit) + 0.5, nan=0.5).clip(0, 1), PURPLE_ORANGE)
    pixels[np.isnan(grid)] = 90
    pixels = enlarge(pixels, scale)
    page, pen, left, top = page_of(pixels.shape[1], len(pixels) + TEXT + 16, title)
    page.paste(Image.fromarray(pixels), (left, top))
    bar = colours(np.linspace(0, 1, 217)[None].repeat(TEXT, axis=0), PURPLE_ORANGE)
    low, y = f"-{limit:.2f} or less", top + len(pixels) + 10
    x = left + text_width([low], TEXT) + 8
    pen.text((left, y), low, BLACK)
    page.paste(Image.fromarray(bar), (x, y))
    pen.text((x + bar.shape[1] + 8, y), f"{limit:.2f} or more", BLACK)
    return np.asarray(page)
