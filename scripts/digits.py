"""Draw the README's pictures of digits: ``python -m scripts.digits`` writes ``images/digits``.

The strokes are those of ``scripts/strokes.py``; paper, pen, size and place differ as people's pictures do.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from scripts.strokes import STROKES, curve

FOLDER = Path("images/digits")
Colour = tuple[int, ...]
BLACK, WHITE = (25, 25, 30), (255, 255, 255)


def drawn(
    digit: int, size: tuple[int, int], pen: float, ink: Colour, paper: Colour, place: tuple[float, float, float]
) -> Image.Image:
    """Return a digit on paper.

    Args:
        digit: Which one.
        size: Width and height in pixels.
        pen: The pen's width as a part of the digit's side.
        ink: The pen's colour.
        paper: The paper's colour.
        place: Left and top of the digit and its side, as parts of the picture's width.
    """
    image = Image.new("RGBA", size, paper)
    brush = ImageDraw.Draw(image)
    left, top, side = (part * size[0] for part in place)
    width = pen * side
    for stroke in STROKES[digit]:
        points = [(left + x * side, top + y * side) for x, y in curve(stroke)]
        brush.line(points, ink, round(width), joint="curve")
        for x, y in (points[0], points[-1]):
            brush.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), ink)
    return image


def photographed(image: Image.Image) -> Image.Image:
    """Return a picture with light from one side and the noise of a camera."""
    random = np.random.default_rng(0)
    light = np.linspace(1, 0.55, image.width)[None, :, None] * np.linspace(1, 0.85, image.height)[:, None, None]
    levels = np.asarray(image.convert("RGB")) * light + random.normal(0, 4, (image.height, image.width, 1))
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def main() -> None:
    """Draw them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    photo = photographed(drawn(2, (480, 360), 0.06, BLACK, (236, 231, 218), (0.28, 0.1, 0.5)))
    photo.save(FOLDER / "photo.jpg", quality=80)
    drawn(3, (300, 220), 0.07, (240, 240, 235), (38, 70, 58), (0.02, 0.05, 0.6)).convert("RGB").save(
        FOLDER / "chalk.png", optimize=True
    )
    drawn(5, (48, 48), 0.09, (200, 40, 40), (190, 215, 245), (0.1, 0.1, 0.8)).convert("RGB").save(FOLDER / "small.png")
    drawn(6, (400, 300), 0.16, BLACK, WHITE, (0.2, 0.02, 0.7)).convert("1").save(FOLDER / "marker.gif")
    drawn(8, (500, 700), 0.03, (20, 60, 160), (0, 0, 0, 0), (0.45, 0.6, 0.4)).save(FOLDER / "corner.png", optimize=True)


if __name__ == "__main__":
    main()
