"""A photograph of a sheet of paper on a desk, which is as dark as the ink: the digit is found on the paper."""

import pytest
import torch
from PIL import Image, ImageDraw

from src.digits.background import without_desk
from src.digits.frame import to_digit
from src.digits.number import read_number
from tests.digits.drawings import SHEETS, apart, cut_out, drawn, in_file, noise, page, paper, photo


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
        white(cut_out(ring(45))),
        white(drawn(30)),
        page([drawn(), drawn()]),
        paper(cut_out(drawn(30))),
        noise(300, 40),
    ],
    ids=["a thin 0", "a 0", "a thick 0", "a 0 cut out", "a 5", "two digits", "a 5 cut out", "noise"],
)
def test_what_has_no_desk_stays_as_it_is(image: Image.Image) -> None:
    assert without_desk(image) is image
