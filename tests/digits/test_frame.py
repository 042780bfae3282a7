"""Whatever a picture of a digit looks like, the network sees the same 28x28 pixels."""

import io
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps
from torch import Tensor

from src.common.pictures import PictureError
from src.data.idx import read_idx
from src.digits.frame import read_digit, to_digit
from tests.conftest import REPOSITORY

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


def lines(down: bool) -> Change:
    """Printed lines of a third of the ink's darkness, across the digit too."""

    def rule(image: Image.Image) -> Image.Image:
        sheet = Image.new("L", image.size, 225)
        pen = ImageDraw.Draw(sheet)
        for place in range(20, max(image.size), 40):
            pen.line((0, place, image.width, place), 165, 2)
            if down:
                pen.line((place, 0, place, image.height), 165, 2)
        return ImageChops.darker(sheet, paper(image))

    return rule


def grey_crop_on_white(image: Image.Image) -> Image.Image:
    page = Image.new("L", (400, 360), 255)
    page.paste(paper(image, light=235), (90, 80))
    return page


def hair_and_dust(image: Image.Image) -> Image.Image:
    dusty = paper(ImageOps.expand(image, 40, fill=0))
    pen = ImageDraw.Draw(dusty)
    for x, y in np.random.default_rng(1).integers(5, 30, (12, 2)).tolist():
        pen.ellipse((x, y, x + 2, y + 2), 90)
    pen.arc((230, 200, 290, 270), 20, 120, 100, 1)
    return dusty


def beside_the_paper(image: Image.Image) -> Image.Image:
    """A strip of the dark desk along one side of the paper."""
    photo = Image.new("L", (320, 300), 60)
    photo.paste(paper(ImageOps.expand(image, (60, 50), fill=0), ink=30), (24, 0))
    return photo


def half_in_shadow(image: Image.Image) -> Image.Image:
    light = np.where(np.arange(image.width) > 60, 1.0, 0.8)[None]
    return Image.fromarray((np.asarray(paper(image)) * light).astype(np.uint8))


def with_glare(image: Image.Image) -> Image.Image:
    y, x = np.mgrid[: image.height, : image.width]
    spot = 60 * np.exp(-((x - 190) ** 2 + (y - 30) ** 2) / 900)
    return Image.fromarray((np.asarray(paper(image, light=190)) + spot).clip(0, 255).astype(np.uint8))


def on_an_opaque_rectangle(image: Image.Image) -> Image.Image:
    """White ink on black, and nothing around that."""
    clear = Image.new("RGBA", (400, 380), (0, 0, 0, 0))
    clear.paste(image.convert("RGBA"), (90, 90))
    return clear


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
    "in a frame": in_a_frame,
    "ruled paper": lines(down=False),
    "squared paper": lines(down=True),
    "a grey crop on white": grey_crop_on_white,
    "hair and dust": hair_and_dust,
    "the paper's end": beside_the_paper,
    "a shadow's edge": half_in_shadow,
    "glare": with_glare,
    "an opaque rectangle": on_an_opaque_rectangle,
    "stairs": lambda image: image.resize((22, 20), Image.Resampling.BOX),
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


# what cannot be told from ink: lines beside a stroke; pixels that are not there
HARD = {"squared paper", "hair and dust", "stairs"}


@pytest.mark.parametrize("name", CHANGES)
def test_it_looks_the_same_however_it_was_made(name: str) -> None:
    assert apart(to_digit(CHANGES[name](drawn())), to_digit(drawn())) < (0.4 if name in HARD else 0.25)


@pytest.mark.parametrize("width", [2, 3, 5, 30])
def test_a_thin_pen_and_a_thick_one_are_as_bright_as_mnists(width: int) -> None:
    digit = to_digit(drawn(width))

    assert float(digit[digit > 32].median()) >= 250


def test_a_digit_in_two_pieces_keeps_both() -> None:
    """A 5 whose bar is apart from the rest."""
    image = Image.new("L", (220, 200), 0)
    pen = ImageDraw.Draw(image)
    pen.line([(95, 40), (160, 40)], 255, 14)
    pen.line([(80, 62), (75, 100), (120, 95), (145, 120), (130, 160), (70, 155)], 255, 14, joint="curve")
    digit = to_digit(paper(image))

    assert int((digit > 128).sum(dim=1).nonzero().max() - (digit > 128).sum(dim=1).nonzero().min()) >= 18
    assert int((digit[4:7] > 128).sum()) > 5


@pytest.mark.parametrize("width", [20, 28, 44])
def test_a_thick_digit_that_was_cut_out_closely_is_ink(width: int) -> None:
    thick = drawn(width)

    assert apart(to_digit(paper(thick.crop(thick.getbbox()))), to_digit(thick)) < 0.25


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "JPEG2000"])
def test_it_is_read_from_any_format(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "five"
    path.write_bytes(in_file(drawn(), kind).read())

    assert apart(read_digit(path), to_digit(drawn())) < 0.2
    with path.open("rb") as file:
        assert torch.equal(read_digit(file), read_digit(path))


@pytest.mark.parametrize(("kind", "size"), [("JPEG", (8000, 6000)), ("PNG", (4960, 7016))])
def test_a_photo_of_48_megapixels_and_a_page_at_600_dpi_are_read(kind: str, size: tuple[int, int]) -> None:
    page = Image.new("L", size, 225)
    page.paste(paper(drawn()).resize((2200, 2000)), (1500, 1200))

    assert apart(read_digit(in_file(page, kind)), to_digit(drawn())) < 0.25


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
    with pytest.raises(PictureError, match=r"^no ink found$"):
        to_digit(image)


def header_of(width: int, height: int) -> io.BytesIO:
    """A PNG that says it is large, without the pixels."""
    content = bytearray(in_file(Image.new("1", (1, 1)), "PNG").read())
    content[16:24] = width.to_bytes(4) + height.to_bytes(4)
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    return io.BytesIO(bytes(content))


UNREADABLE = {
    "too large": (header_of(9000, 9000), "9000 x 9000 pixels are more than 8192 x 8192"),
    "a bomb": (header_of(60_000, 60_000), "more than 8192 x 8192 pixels"),
    "text": (io.BytesIO(b"seven"), "not a picture that Pillow reads"),
    "nothing": (io.BytesIO(), "not a picture that Pillow reads"),
    "a program for a printer": (in_file(drawn(), "EPS"), "not a picture that Pillow reads"),
    "half of it": (io.BytesIO(in_file(drawn(), "JPEG").read()[:1000]), "a damaged picture"),
    "without its pixels": (header_of(40, 40), "a damaged picture"),
    "no numbers": (in_file(Image.new("F", (30, 30), float("nan")), "TIFF"), "pixels that are not finite numbers"),
}


@pytest.mark.parametrize(("file", "says"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_said_in_a_sentence(file: io.BytesIO, says: str) -> None:
    with pytest.raises(PictureError) as refusal:
        read_digit(io.BytesIO(file.getvalue()))
    assert str(refusal.value) == says


def test_a_file_that_is_not_read_is_named_in_tracebacks_alone(tmp_path: Path) -> None:
    (tmp_path / "seven.txt").write_text("7")
    says = {"seven.png": "cannot be read (No such file or directory)", "seven.txt": "not a picture that Pillow reads"}
    for name, sentence in says.items():
        with pytest.raises(PictureError) as refusal:
            read_digit(tmp_path / name)
        assert str(refusal.value) == sentence  # in a table, which has the name in another column
        assert name in "".join(traceback.format_exception(refusal.value))


def test_a_path_may_be_text() -> None:
    picture = REPOSITORY / "images" / "digits" / "marker.gif"
    assert read_digit(str(picture)).equal(read_digit(picture))
