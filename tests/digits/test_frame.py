"""Whatever a picture of a digit looks like, the network sees the same 28x28 pixels."""

import io
import traceback
from pathlib import Path

import pytest
import torch
from PIL import Image

from src.common.pictures import PictureError, read_picture
from src.data.idx import read_idx
from src.digits.frame import read_digit, to_digit
from tests.conftest import REPOSITORY
from tests.digits.changes import BLANKS, CHANGES
from tests.digits.drawings import apart, cut_out, drawn, five_in_two_pieces, in_file, paper
from tests.faults.pictures import claiming, saved


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
    digit = to_digit(paper(five_in_two_pieces()))

    assert int((digit > 128).sum(dim=1).nonzero().max() - (digit > 128).sum(dim=1).nonzero().min()) >= 18
    assert int((digit[4:7] > 128).sum()) > 5


@pytest.mark.parametrize("width", [20, 28, 44])
def test_a_thick_digit_that_was_cut_out_closely_is_ink(width: int) -> None:
    thick = drawn(width)

    assert apart(to_digit(paper(cut_out(thick))), to_digit(thick)) < 0.25


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "JPEG2000"])
def test_it_is_read_from_any_format(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "five"
    path.write_bytes(saved(drawn(), kind))

    assert apart(read_digit(path), to_digit(drawn())) < 0.2
    with path.open("rb") as file:
        assert torch.equal(read_digit(file), read_digit(path))


def test_grey_that_is_multiplied_by_its_alpha_is_read(tmp_path: Path) -> None:
    content = bytearray(saved(CHANGES["grey and alpha"](drawn()), "TIFF"))
    content[content.index(b"\x52\x01\x03\0\1\0\0\0") + 8] = 1  # the tag ExtraSamples: associated alpha
    path = tmp_path / "five.tif"
    path.write_bytes(content)
    with Image.open(path) as image:
        assert image.mode == "La"

    assert apart(read_digit(path), to_digit(drawn())) < 0.25
    assert read_picture(path, (20, 22)).min() < 50 < 200 < read_picture(path, (20, 22)).max()


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


def test_what_is_as_large_as_mnists_and_beside_the_centre_is_moved_there() -> None:
    digit = to_digit(drawn())
    beside = Image.fromarray(digit.roll(3, dims=1).numpy())

    assert apart(to_digit(beside), digit) < 0.4


@pytest.mark.parametrize("image", BLANKS.values(), ids=BLANKS)
def test_a_blank_picture_is_no_guess(image: Image.Image) -> None:
    with pytest.raises(PictureError, match=r"^no ink found$"):
        to_digit(image)


UNREADABLE = {
    "too large": (claiming(9000, 9000), "9000 x 9000 pixels are more than 8192 x 8192"),
    "a bomb": (claiming(60_000, 60_000), "more than 8192 x 8192 pixels"),
    "text": (b"seven", "not a picture that Pillow reads"),
    "nothing": (b"", "not a picture that Pillow reads"),
    "a program for a printer": (saved(drawn(), "EPS"), "not a picture that Pillow reads"),
    "half of it": (saved(drawn(), "JPEG")[:1000], "a damaged picture"),
    "without its pixels": (claiming(40, 40), "a damaged picture"),
    "no numbers": (saved(Image.new("F", (30, 30), float("nan")), "TIFF"), "pixels that are not finite numbers"),
}


@pytest.mark.parametrize(("content", "says"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_said_in_a_sentence(content: bytes, says: str) -> None:
    with pytest.raises(PictureError) as refusal:
        read_digit(io.BytesIO(content))
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
