"""Whatever a picture of a digit looks like, the network sees the same 28x28 pixels."""

import io
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from torch import Tensor

from src.data.idx import read_idx
from src.digits.frame import read_digit, to_digit
from src.digits.grey import DigitError

Change = Callable[[Image.Image], Image.Image]
FIVE = [(150, 50), (80, 50), (75, 100), (120, 95), (145, 120), (130, 160), (70, 155)]


def drawn(width: int = 14, background: int = 0, ink: int = 255, mode: str = "L") -> Image.Image:
    image = Image.new(mode, (220, 200), background)
    ImageDraw.Draw(image).line(FIVE, ink, width, joint="curve")
    return image


def shaded(image: Image.Image) -> Image.Image:
    """Dark ink on paper with light from the left and noise."""
    random = np.random.default_rng(0)
    light = np.linspace(1, 0.5, image.width)[None]
    levels = (230 - 190 * (np.asarray(image) / 255)) * light + random.normal(0, 5, (image.height, image.width))
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def coloured(ink: tuple[int, int, int], background: tuple[int, int, int]) -> Change:
    return lambda image: ImageOps.colorize(image, background, ink)


def transparent(image: Image.Image) -> Image.Image:
    """Black ink on nothing."""
    clear = Image.new("RGBA", image.size, (0, 0, 0, 0))
    clear.putalpha(image)
    return clear


def a_card(image: Image.Image) -> Image.Image:
    """Black ink on a white card with transparent round corners."""
    shape = Image.new("L", image.size, 0)
    ImageDraw.Draw(shape).rounded_rectangle((0, 0, *image.size), 30, 255)
    card = ImageOps.invert(image).convert("RGBA")
    card.putalpha(shape)
    return card


def sixteen_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image).astype(np.uint16) * 200 + 300)


CHANGES: dict[str, Change] = {
    "inverted": ImageOps.invert,
    "pale": lambda image: image.point(lambda level: 230 - level // 12),
    "one bit": lambda image: image.convert("1"),
    "palette": lambda image: image.convert("P", palette=Image.Palette.ADAPTIVE),
    "colours": coloured((200, 30, 30), (250, 240, 200)),
    "red on equally bright blue": coloured((190, 0, 0), (0, 75, 125)),
    "transparent": transparent,
    "a card": a_card,
    "grey and alpha": lambda image: transparent(image).convert("LA"),
    "CMYK": lambda image: ImageOps.invert(image).convert("CMYK"),
    "LAB": lambda image: Image.merge("LAB", [image, Image.new("L", image.size, 128), Image.new("L", image.size, 128)]),
    "16 bits": sixteen_bits,
    "32 bits": lambda image: image.convert("I"),
    "floats from 0 to 1": lambda image: Image.fromarray(np.asarray(image, np.float32) / 255),
    "off the centre": lambda image: ImageOps.expand(image, (400, 0, 0, 150), fill=0),
    "cut out": lambda image: image.crop(image.getbbox()),
    "larger": lambda image: image.resize((1500, 1364), Image.Resampling.BICUBIC),
    "smaller": lambda image: image.resize((55, 50), Image.Resampling.BICUBIC),
    "tiny in a large picture": lambda image: ImageOps.expand(image, (2500, 500, 500, 1900), fill=0),
    "shaded": shaded,
    "shaded, light ink": lambda image: ImageOps.invert(shaded(image)),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(3)),
}


def apart(one: Tensor, other: Tensor) -> float:
    """Return the mean difference as a part of the ink."""
    return float((one.float() - other.float()).abs().sum() / other.float().sum())


def in_file(image: Image.Image, kind: str, **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


def test_the_ink_fills_20_pixels_around_its_centre_of_mass() -> None:
    digit = to_digit(drawn())

    assert (digit.shape, digit.dtype, int(digit.max())) == ((28, 28), torch.uint8, 255)
    rows, columns = (digit > 0).any(dim=1).nonzero(), (digit > 0).any(dim=0).nonzero()
    height, width = (int(span.max() - span.min()) + 1 for span in (rows, columns))
    assert height == 20
    assert width in (14, 15)  # as in the picture, where it is 0.71 of the height
    levels = digit.float()
    for axis in (0, 1):
        assert float((levels.sum(dim=1 - axis) * torch.arange(28)).sum() / levels.sum()) == pytest.approx(14, abs=0.5)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_looks_the_same_however_it_was_made(change: Change) -> None:
    assert apart(to_digit(change(drawn())), to_digit(drawn())) < 0.25


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "JPEG2000"])
def test_it_is_read_from_any_format(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "five"
    path.write_bytes(in_file(drawn(), kind).read())

    assert apart(read_digit(path), to_digit(drawn())) < 0.2
    with path.open("rb") as file:
        assert torch.equal(read_digit(file), read_digit(path))


def test_a_camera_held_sideways_makes_no_difference() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    lying = in_file(drawn().transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)

    assert apart(read_digit(lying), to_digit(drawn())) < 0.1


def test_an_image_of_mnist_comes_back_as_it_is(mnist: Path) -> None:
    images = read_idx(mnist / "MNIST" / "raw" / "train-images-idx3-ubyte")[:1000]

    for image in images:
        assert torch.equal(read_digit(in_file(Image.fromarray(image.numpy()), "PNG")), image)


def test_what_was_framed_once_stays() -> None:
    digit = to_digit(drawn())

    assert torch.equal(to_digit(Image.fromarray(digit.numpy())), digit)


def noise(side: int, spread: float) -> Image.Image:
    levels = np.random.default_rng(side).normal(120, spread, (side, side))
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


BLANKS = {
    "black": Image.new("L", (28, 28), 0),
    "white": Image.new("RGB", (300, 200), (255, 255, 255)),
    "one pixel": Image.new("L", (1, 1), 90),
    "a line of pixels": Image.new("1", (500, 1), 1),
    "transparent": Image.new("RGBA", (60, 60), (0, 0, 0, 0)),
    "empty paper": shaded(Image.new("L", (400, 300), 0)),
    "little empty paper": shaded(Image.new("L", (28, 28), 0)),
    "noise": noise(64, 30),
    "a little noise": noise(500, 3),
    "floats": Image.new("F", (30, 30), 0.5),
}


@pytest.mark.parametrize("image", BLANKS.values(), ids=BLANKS)
def test_a_blank_picture_is_no_guess(image: Image.Image) -> None:
    with pytest.raises(DigitError, match=r"^no ink found$"):
        to_digit(image)


def header_of(width: int, height: int) -> io.BytesIO:
    """A PNG that says it is large, without the pixels."""
    content = bytearray(in_file(Image.new("1", (1, 1)), "PNG").read())
    content[16:24] = width.to_bytes(4) + height.to_bytes(4)
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    return io.BytesIO(bytes(content))


UNREADABLE = {
    "too large": (header_of(5000, 5000), "5000 x 5000 pixels are more than 4096 x 4096"),
    "a bomb": (header_of(60_000, 60_000), "more than 4096 x 4096 pixels"),
    "text": (io.BytesIO(b"seven"), "not a picture that Pillow reads"),
    "nothing": (io.BytesIO(), "not a picture that Pillow reads"),
    "a program for a printer": (in_file(drawn(), "EPS"), "not a picture that Pillow reads"),
    "half of it": (io.BytesIO(in_file(drawn(), "JPEG").read()[:1000]), "a damaged picture"),
    "without its pixels": (header_of(40, 40), "a damaged picture"),
    "no numbers": (in_file(Image.new("F", (30, 30), float("nan")), "TIFF"), "pixels that are not finite numbers"),
}


@pytest.mark.parametrize(("file", "says"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_said_in_a_sentence(file: io.BytesIO, says: str) -> None:
    with pytest.raises(DigitError) as refusal:
        read_digit(io.BytesIO(file.getvalue()))
    assert str(refusal.value) == says


def test_a_missing_file_is_said_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(DigitError, match=r"^cannot be read \(No such file or directory\)$"):
        read_digit(tmp_path / "seven.png")
