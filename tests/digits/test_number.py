"""Numbers in pictures: which pieces are digits, in which order, and what is no number."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from benchmarks.digits import RESULTS
from benchmarks.variants import pair_that_touches, string_of_digits
from src.common.pictures import PictureError
from src.data.idx import read_idx
from src.digits.frame import read_digit, to_digit
from src.digits.number import Digit, read_number
from src.digits.pieces import connected_pieces
from src.digits.reading import SURE, Answer
from tests.digits.drawings import apart, cut_out, drawn, five_in_two_pieces, in_a_frame, in_file, page, paper

ONE = Image.new("L", (220, 200), 0)
ImageDraw.Draw(ONE).line([(110, 40), (110, 160)], 255, 14)


def seen(image: Image.Image) -> list[list[Digit]]:
    return read_number(in_file(image, "PNG"))


def test_digits_are_read_from_left_to_right_and_in_lines() -> None:
    lines = seen(page([drawn(), ONE, drawn()], [ONE, ONE, drawn(), drawn()]))

    assert [len(line) for line in lines] == [3, 4]
    kinds = [[apart(digit.pixels, to_digit(drawn())) < 0.25 for digit in line] for line in lines]
    assert kinds == [[True, False, True], [False, False, True, True]]


def test_each_digit_has_its_box_in_the_pictures_pixels() -> None:
    sheet = page([drawn(), drawn()], across=400)
    sheet = sheet.resize((3 * sheet.width, 3 * sheet.height))
    ((first, second),) = seen(sheet)

    left, top, right, bottom = drawn().getbbox() or (0, 0, 0, 0)
    width, height = 3 * (right - left), 3 * (bottom - top)
    assert first.box == pytest.approx((120, 120, 120 + width, 120 + height), abs=12)
    assert second.box == pytest.approx((1320, 120, 1320 + width, 120 + height), abs=12)
    ((first, second),) = read_number(in_file(sheet, "JPEG"))  # decoded at a smaller scale
    assert second.box == pytest.approx((1320, 120, 1320 + width, 120 + height), abs=12)


@pytest.mark.parametrize("times", [1, 4])
def test_a_single_digit_has_its_box_too(times: int) -> None:
    """Far from the middle and small, so that a closer look is taken."""
    image = Image.new("L", (900, 700), 0)
    image.paste(cut_out(drawn()), (600, 100))
    image = paper(image).resize((900 * times, 700 * times))
    width, height = cut_out(drawn()).size

    box = [times * corner for corner in (600, 100, 600 + width, 100 + height)]
    for kind in ("PNG", "JPEG"):
        ((digit,),) = read_number(in_file(image, kind))
        assert digit.box == pytest.approx(box, abs=4 * times)


def test_a_box_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    """A camera that was held on its side writes a picture that lies, and says so."""
    upright = paper(drawn()).resize((880, 400))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.rotate(90, expand=True).save(tmp_path / "lying.png", exif=exif)
    ((digit,),), ((expected,),) = read_number(tmp_path / "lying.png"), seen(upright)

    assert digit.box == expected.box


@pytest.mark.parametrize(
    "image",
    [paper(drawn()), paper(five_in_two_pieces()), in_a_frame(drawn()), paper(cut_out(drawn()))],
    ids=["a digit", "in two pieces", "in a frame", "cut out"],
)
def test_one_digit_is_one_and_the_same_as_ever(image: Image.Image) -> None:
    ((digit,),) = seen(image)

    assert torch.equal(digit.pixels, read_digit(in_file(image, "PNG")))


def test_thin_pale_strokes_in_a_large_photo_are_found() -> None:
    photo = Image.new("L", (4000, 3000), 225)
    pen = ImageDraw.Draw(photo)
    for place in (1800, 1900, 2000):
        pen.line([(place, 1400), (place, 1560)], 130, 3)
    levels = np.asarray(photo) + np.random.default_rng(0).normal(0, 9, (3000, 4000))

    (digits,) = seen(Image.fromarray(levels.clip(0, 255).astype(np.uint8)))
    assert [digit.box[0] for digit in digits if digit.box] == pytest.approx([1800, 1900, 2000], abs=20)


def test_a_five_in_two_pieces_is_one_digit_of_a_number() -> None:
    ((first, second),) = seen(page([five_in_two_pieces(), drawn()]))

    assert apart(first.pixels, to_digit(five_in_two_pieces())) < 0.35
    assert apart(second.pixels, to_digit(drawn())) < 0.25


def test_a_blot_between_two_digits_is_none() -> None:
    blot = Image.new("L", (220, 200), 0)
    ImageDraw.Draw(blot).ellipse((50, 50, 80, 80), 255)

    assert [len(line) for line in seen(page([drawn(), blot, drawn()]))] == [2]


def test_images_of_mnist_are_one_digit_and_come_back_as_they_are(mnist: Path) -> None:
    for image in read_idx(mnist / "MNIST" / "raw" / "t10k-images-idx3-ubyte")[:300]:
        ((digit,),) = seen(Image.fromarray(image.numpy()))
        assert torch.equal(digit.pixels, image)


def test_strings_of_five_are_five_pieces(mnist: Path) -> None:
    raw = mnist / "MNIST" / "raw"
    images, labels = (read_idx(raw / f"t10k-{name}").numpy() for name in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    pictures = [string_of_digits(images, labels, np.random.default_rng(seed))[0] for seed in range(60)]

    assert sum([len(line) for line in seen(picture)] == [5] for picture in pictures) >= 57


def test_digits_that_touch_are_one_and_most_are_unsure_by_their_width(mnist: Path) -> None:
    raw = mnist / "MNIST" / "raw"
    images, labels = (read_idx(raw / f"t10k-{name}").numpy() for name in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    pairs = [pair_that_touches(images, labels, np.random.default_rng(seed)) for seed in range(60)]
    found = [[digit for line in seen(picture) for digit in line] for picture, _ in pairs]

    assert sum(len(digits) == 1 for digits in found) >= 57
    wide = [Answer("8", [1.0], digits[0]).unsure for digits in found if len(digits) == 1]
    assert sum(wide) >= 25


def test_unsure_begins_where_validation_says_so() -> None:
    assert json.loads(RESULTS.read_text())["unsure"]["threshold"] == SURE


@pytest.mark.parametrize(
    "image",
    [page(*[[ONE] * 4] * 5), page([ONE] * 26, across=60), page([ONE, drawn()], across=900)],
    ids=["a page of lines", "too many digits", "far apart"],
)
def test_what_is_no_number_is_no_guess(image: Image.Image) -> None:
    with pytest.raises(PictureError, match=r"^\d+ pieces that look like digits, not one number$"):
        seen(image)


def slowly(mask: np.ndarray) -> list[set[tuple[int, int]]]:
    """The pieces by walking from pixel to pixel."""
    left, pieces = {tuple(place) for place in np.argwhere(mask).tolist()}, []
    while left:
        piece, waiting = set(), [left.pop()]
        while waiting:
            row, column = waiting.pop()
            piece.add((row, column))
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            waiting += near
        pieces.append(piece)
    return pieces


@pytest.mark.parametrize("seed", range(20))
def test_pieces_are_connected_pixels(seed: int) -> None:
    random = np.random.default_rng(seed)
    mask = random.random(random.integers(1, 30, 2)) < random.random()
    pieces = connected_pieces(mask)
    found = [
        {tuple(place) for place in np.argwhere(pieces.labels == number).tolist()} for number in range(len(pieces.areas))
    ]

    assert sorted(map(sorted, found)) == sorted(map(sorted, slowly(mask)))
    assert pieces.areas.tolist() == [len(piece) for piece in found]
    for piece, box in zip(found, pieces.boxes.tolist(), strict=True):
        rows, columns = zip(*piece, strict=True)
        assert box == [min(rows), max(rows) + 1, min(columns), max(columns) + 1]
    assert (pieces.labels[~mask] == len(found)).all()
