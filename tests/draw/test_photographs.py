"""Photographs that are dropped on the page, pasted or chosen are read, and their digits are shown."""

import io

import pytest
from PIL import Image
from playwright.sync_api import expect

from scripts.strokes import STROKES, draw
from tests.draw.page import Visit, hand, photograph

SENT = "async () => [...new Uint8Array(await photo.body.arrayBuffer())]"
ACCENTED = """canvas => {
  const levels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return levels.filter((red, at) => at % 4 == 0 && red - levels[at + 2] > 100).length;
}"""


@pytest.mark.parametrize("how", ["drop", "paste", "choose", "camera"])
def test_a_photograph_is_read_and_its_digits_are_shown(visit: Visit, how: str) -> None:
    page = visit.page
    draw(page, STROKES[7])
    visit.expect_answer(7)
    hand(page, how, photograph("2035"), "photo.jpg", "image/jpeg")
    expect(page.locator("#digit")).to_have_text("2035")
    expect(page.locator("#pictures img")).to_have_count(4)
    with Image.open(io.BytesIO(bytes(page.evaluate(SENT)))) as sent:
        assert (sent.format, sent.size) == ("JPEG", (2048, 1365))
    boxes = page.evaluate("photo.digits.map(digit => digit.box)")
    for place, (left, top, right, bottom) in enumerate(boxes):
        assert left < 2048 * (place + 0.5) / 4 < right
        assert top < 1365 / 2 < bottom
    assert page.locator("canvas").evaluate(ACCENTED) > 500
    page.get_by_role("button", name="Clear").click()
    visit.expect_nothing()
    assert visit.ink() == 0


def test_a_small_picture_is_sent_as_it_is(visit: Visit) -> None:
    page = visit.page
    content = photograph("35", (600, 400))
    hand(page, "choose", content, "small.jpg", "image/jpeg")
    expect(page.locator("#digit")).to_have_text("35")
    assert bytes(page.evaluate(SENT)) == content
    draw(page, STROKES[7])  # a drawing takes its place
    visit.expect_answer(7)
    expect(page.locator("#digit")).to_have_text("7")


def test_a_camera_held_sideways_makes_no_difference(visit: Visit) -> None:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    with Image.open(io.BytesIO(photograph("35", (600, 400)))) as picture:
        picture.transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", exif=exif)
    hand(visit.page, "choose", file.getvalue(), "small.jpg", "image/jpeg")
    expect(visit.page.locator("#digit")).to_have_text("35")
    assert visit.page.evaluate("[photo.image.width, photo.image.height]") == [600, 400]
    first, second = visit.page.evaluate("photo.digits.map(digit => digit.box)")
    assert first[0] < 150 < first[2] < second[0] < 450 < second[2]


def test_what_cannot_be_read_is_said(visit: Visit) -> None:
    hand(visit.page, "drop", b"%PDF-1.4", "seven.pdf", "application/pdf")
    expect(visit.page.locator("#sure")).to_contain_text("This is no picture that can be read here")
    expect(visit.page.locator(".hint")).to_have_text("seven.pdf")
    visit.errors.clear()  # the browser's own complaint


def test_heic_goes_as_it_is(visit: Visit) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    file = io.BytesIO()
    with Image.open(io.BytesIO(photograph("35"))) as picture:
        picture.save(file, "HEIF")
    hand(visit.page, "choose", file.getvalue(), "photo.heic", "")
    expect(visit.page.locator("#digit")).to_have_text("35")
    expect(visit.page.locator("#pictures img")).to_have_count(2)
    expect(visit.page.locator(".hint")).to_have_text("photo.heic")
