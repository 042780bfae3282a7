"""Draw the README's pictures of digits: ``python -m scripts.digits`` writes ``images/digits``.

``python -m scripts.digits --limits RUN`` writes ``images/limits.png`` instead: what the network of a run makes of
pictures beyond the reader's limits. The strokes are those of ``scripts/strokes.py``; paper, pen, size and place differ
as people's pictures do.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from scripts.strokes import STROKES, curve

FOLDER = Path("images/digits")
Colour = tuple[int, ...]
BLACK, WHITE, PAPER = (25, 25, 30), (255, 255, 255), (236, 231, 218)


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


def beyond_limits() -> dict[str, Image.Image]:
    """Return pictures that are not read right, by name."""
    size = (360, 240)
    three, five, one, four, six, seven = (
        drawn(digit, size, 0.07, BLACK, PAPER, (left, 0.06, 0.55))
        for digit, left in ((3, 0.13), (5, 0.335), (1, 0.28), (4, 0.5), (6, 0.22), (7, 0.22))
    )
    number = ImageChops.darker(ImageChops.darker(drawn(3, size, 0.07, BLACK, PAPER, (0, 0.06, 0.55)), one), four)
    ImageDraw.Draw(number).ellipse((140, 170, 155, 185), BLACK)
    desk = Image.new("RGBA", size, (70, 60, 55))
    sheet = four.crop((170, 10, 330, 230)).rotate(35, expand=True)
    desk.paste(sheet, (50, -30), sheet)
    hand = Image.new("RGBA", size, PAPER)
    ImageDraw.Draw(hand).line([(130, 92), (180, 56), (180, 184)], BLACK, 14, joint="curve")
    struck = seven.copy()
    ImageDraw.Draw(struck).line([(100, 190), (270, 60)], BLACK, 10)
    return {
        "touching": ImageChops.darker(three, five),
        "desk": desk,
        "point": number,
        "lying": six.rotate(90, fillcolor=PAPER),
        "upstroke": hand,
        "struck": struck,
    }


def show_limits(run: str) -> None:
    """Read them with a run's network."""
    with tempfile.TemporaryDirectory() as folder:
        for name, picture in beyond_limits().items():
            picture.convert("RGB").save(f"{folder}/{name}.png")
        command = [sys.executable, "-m", "src.cli", "predict", "--ckpt_path", run, "--images", folder]
        subprocess.run([*command, "--output", f"{folder}/table.csv", "--sheet", "images/limits.png"], check=True)


def main() -> None:
    """Draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limits", metavar="RUN", help="only draw the limits, with this run's network")
    if run := parser.parse_args().limits:
        show_limits(run)
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    photo = photographed(drawn(2, (480, 360), 0.06, BLACK, PAPER, (0.28, 0.1, 0.5)))
    photo.save(FOLDER / "photo.jpg", quality=80)
    drawn(3, (300, 220), 0.07, (240, 240, 235), (38, 70, 58), (0.02, 0.05, 0.6)).convert("RGB").save(
        FOLDER / "chalk.png", optimize=True
    )
    drawn(5, (48, 48), 0.09, (200, 40, 40), (190, 215, 245), (0.1, 0.1, 0.8)).convert("RGB").save(FOLDER / "small.png")
    drawn(6, (400, 300), 0.16, BLACK, WHITE, (0.2, 0.02, 0.7)).convert("1").save(FOLDER / "marker.gif")
    drawn(8, (500, 700), 0.03, (20, 60, 160), (0, 0, 0, 0), (0.45, 0.6, 0.4)).save(FOLDER / "corner.png", optimize=True)


if __name__ == "__main__":
    main()
