"""Digits that are drawn here: alone, in two pieces, in a form's cell, in numbers, and on a sheet on a desk."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

from tests.faults.pictures import saved

FIVE = [(150, 50), (80, 50), (75, 100), (120, 95), (145, 120), (130, 160), (70, 155)]
WIDTH, HEIGHT = 640, 480  # of a photograph
# where the middle of the sheet is and how wide and high it is, as parts of the photograph; what lies outside is cut off
SHEETS = {
    "small": (0.6, 0.5, 0.45, 0.6),
    "large": (0.5, 0.5, 0.9, 0.85),
    "from a corner": (0.85, 0.85, 1.1, 1.1),
    "from a side": (0.2, 0.5, 1.1, 2.0),
}


def drawn(width: int = 14) -> Image.Image:
    """A 5 in white on black."""
    image = Image.new("L", (220, 200), 0)
    ImageDraw.Draw(image).line(FIVE, 255, width, joint="curve")
    return image


def five_in_two_pieces() -> Image.Image:
    """A 5 whose bar is apart from the rest."""
    image = Image.new("L", (220, 200), 0)
    pen = ImageDraw.Draw(image)
    pen.line([(95, 40), (160, 40)], 255, 14)
    pen.line([(80, 62), (75, 100), (120, 95), (145, 120), (130, 160), (70, 155)], 255, 14, joint="curve")
    return image


def under_an_arm() -> Image.Image:
    """A digit of two strokes that do not touch: one has an arm, which ends above the middle of the other."""
    image = Image.new("L", (220, 200), 0)
    pen = ImageDraw.Draw(image)
    pen.line([(60, 180), (60, 40), (114, 40)], 255, 14)
    pen.line([(112, 70), (112, 180)], 255, 14)
    return image


def cut_out(image: Image.Image) -> Image.Image:
    return image.crop(image.getbbox())


def paper(image: Image.Image, ink: int = 40, light: int = 225) -> Image.Image:
    """Dark ink on light paper."""
    return image.point(lambda level: light - (light - ink) * level // 255)


def in_a_frame(image: Image.Image) -> Image.Image:
    """A form's cell, cut out with its printed lines."""
    cell = paper(ImageOps.expand(image, 60, fill=0))
    pen = ImageDraw.Draw(cell)
    for place in (18, cell.width - 20):
        pen.line((place, 0, place, cell.height), 20, 6)
    for place in (14, cell.height - 16):
        pen.line((0, place, cell.width, place), 20, 6)
    return cell


def noise(side: int, spread: float) -> Image.Image:
    levels = np.random.default_rng(side).normal(120, spread, (side, side))
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def page(*rows: list[Image.Image], across: int = 160, down: int = 180) -> Image.Image:
    """Put digits on paper, the middle of each so far from the next."""
    sheet = Image.new("L", (across * max(map(len, rows)) + 60, down * len(rows) + 60), 0)
    for number, row in enumerate(rows):
        for place, digit in enumerate(row):
            sheet.paste(cut_out(digit), (40 + across * place, 40 + down * number))
    return paper(sheet)


def photo(sheet: tuple[float, ...], seed: int, ink: int = 40, desk: int = 40) -> tuple[Image.Image, list[float]]:
    """Return a digit on a sheet that is turned a little, with shade and noise; and the digit's box."""
    random = np.random.default_rng(seed)
    x, y, width, height = np.array(sheet) * (WIDTH, HEIGHT, WIDTH, HEIGHT)
    angle = np.deg2rad(random.uniform(-10, 10))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (width / 2, height / 2) @ turn.T + (x, y)
    image = Image.new("L", (WIDTH, HEIGHT), desk)
    ImageDraw.Draw(image).polygon([tuple(corner) for corner in corners.tolist()], fill=215)
    (left, top), (right, bottom) = corners.min(axis=0).clip(0), corners.max(axis=0).clip(0, (WIDTH, HEIGHT))
    digit = cut_out(drawn())
    place = round((left + right - digit.width) / 2), round((top + bottom - digit.height) / 2)
    image.paste(ink, place, digit)
    light = np.linspace(1, random.uniform(0.8, 1), WIDTH)[None]
    levels = np.asarray(image) * light + random.normal(0, 4, (HEIGHT, WIDTH))
    box = [place[0], place[1], place[0] + digit.width, place[1] + digit.height]
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8)), box


def apart(one: Tensor, other: Tensor) -> float:
    """Return the mean difference as a part of the ink."""
    return float((one.float() - other.float()).abs().sum() / other.float().sum())


def in_file(image: Image.Image, kind: str, **options: object) -> io.BytesIO:
    return io.BytesIO(saved(image, kind, **options))
