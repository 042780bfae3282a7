"""A photograph of a sheet of paper on a desk, which is as dark as the ink: the digit is found on the paper."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from src.digits.background import without_desk
from src.digits.frame import to_digit
from src.digits.number import read_number
from tests.digits.test_frame import apart, drawn, in_file, noise, paper
from tests.digits.test_number import page

WIDTH, HEIGHT = 640, 480
# where the middle of the sheet is and how wide and high it is, as parts of the photograph; what lies outside is cut off
SHEETS = {
    "small": (0.6, 0.5, 0.45, 0.6),
    "large": (0.5, 0.5, 0.9, 0.85),
    "from a corner": (0.85, 0.85, 1.1, 1.1),
    "from a side": (0.2, 0.5, 1.1, 2.0),
}


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
    digit = drawn().crop(drawn().getbbox())
    place = round((left + right - digit.width) / 2), round((top + bottom - digit.height) / 2)
    image.paste(ink, place, digit)
    light = np.linspace(1, random.uniform(0.8, 1), WIDTH)[None]
    levels = np.asarray(image) * light + random.normal(0, 4, (HEIGHT, WIDTH))
    box = [place[0], place[1], place[0] + digit.width, place[1] + digit.height]
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8)), box


@pytest.mark.parametrize(("ink", "desk"), [(40, 40), (90, 20), (30, 90)], ids=["alike", "darker", "lighter"])
@pytest.mark.parametrize("name", SHEETS)
def test_the_desk_around_the_paper_is_no_ink(name: str, ink: int, desk: int) -> None:
    for seed in range(4):
        image, box = photo(SHEETS[name], seed, ink, desk)
        ((digit,),) = read_number(in_file(image, "PNG"))

        assert apart(digit.pixels, to_digit(drawn())) < 0.3
        assert digit.box == pytest.approx(box, abs=8)
        assert torch.equal(to_digit(image), digit.pixels)


def white(image: Image.Image) -> Image.Image:
    """White ink on black, as large as a photograph."""
    return image.resize((3 * image.width, 3 * image.height))


def ring(width: int) -> Image.Image:
    """A 0, whose inside is black as the ground is."""
    image = Image.new("L", (220, 200), 0)
    ImageDraw.Draw(image).ellipse((60, 20, 160, 180), outline=255, width=width)
    return image


@pytest.mark.parametrize(
    "image",
    [
        *(white(ring(width)) for width in (8, 25, 45)),
        white(ring(45).crop(ring(45).getbbox())),
        white(drawn(30)),
        page([drawn(), drawn()]),
        paper(drawn(30).crop(drawn(30).getbbox())),
        noise(300, 40),
    ],
    ids=["a thin 0", "a 0", "a thick 0", "a 0 cut out", "a 5", "two digits", "a 5 cut out", "noise"],
)
def test_what_has_no_desk_stays_as_it_is(image: Image.Image) -> None:
    assert without_desk(image) is image
