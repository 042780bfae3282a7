"""The page to draw on as a person uses it: the real server, the real network, Chromium without a window."""

import base64
import io
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, Route, expect

from scripts.strokes import STROKES, Point, curve, draw
from tests.conftest import serving

PATIENCE = 40_000  # milliseconds
expect.set_options(timeout=PATIENCE)
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
COUNT = """canvas => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
  copy.drawImage(canvas, 0, 0);
  return copy.getImageData(0, 0, canvas.width, canvas.height).data.filter((value, at) => at % 4 == 3 && value).length;
}"""
COLOUR = """canvas => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
  copy.drawImage(canvas, 0, 0);
  const levels = copy.getImageData(0, 0, canvas.width, canvas.height).data;
  const at = levels.findIndex((value, at) => at % 4 == 3 && value == 255);
  return `rgb(${levels.slice(at - 3, at).join(", ")})`;
}"""
SHARES = "items => items.map(item => Number(getComputedStyle(item).getPropertyValue('--share')))"


@pytest.fixture(scope="module")
def address(mnist_run: Path) -> Iterator[str]:
    with serving(mnist_run) as (_, address):
        yield address


@dataclass
class Visit:
    """A page, what it complained of and whom it asked."""

    page: Page
    address: str
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def expect_answer(self, digit: int) -> None:
        expect(self.page.locator("#digit")).to_have_text(str(digit))
        expect(self.page.locator("#bars .best")).to_have_attribute("aria-label", re.compile(f"^{digit}: "))

    def expect_nothing(self) -> None:
        expect(self.page.locator("#digit")).to_have_text("\N{EN DASH}")
        expect(self.page.locator("#sure")).to_have_text("Nothing drawn yet")
        expect(self.page.locator(".hint")).to_be_visible()
        expect(self.page.locator("#pictures img")).to_have_count(0)
        assert self.shares() == [0] * 10

    def shares(self) -> list[float]:
        shares: list[float] = self.page.locator("#bars .bar").evaluate_all(SHARES)
        return shares

    def expect_shares(self, shares: list[float]) -> None:
        """Wait for an answer; those to earlier states of the paper may still come before it."""
        deadline = time.monotonic() + PATIENCE / 1000
        while self.shares() != shares:
            assert time.monotonic() < deadline, f"{self.shares()} instead of {shares}"
            self.page.wait_for_timeout(50)

    def ink(self) -> int:
        """Count the paper's pixels that are drawn on."""
        pixels: int = self.page.locator("canvas").evaluate(COUNT)
        return pixels


@pytest.fixture
def visit(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    context = browser.new_context(**getattr(request, "param", {"viewport": {"width": 1100, "height": 760}}))
    visit = Visit(context.new_page(), address)
    visit.page.on("console", lambda message: visit.errors.append(message.text))
    visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
    visit.page.on("request", lambda request: visit.requests.append(request.url))
    visit.page.goto(address)
    yield visit
    context.close()
    assert visit.errors == []
    assert [url for url in visit.requests if not url.startswith((address, "data:"))] == []


def test_each_digit_is_read_while_it_is_drawn(visit: Visit) -> None:
    visit.expect_nothing()
    for digit, strokes in STROKES.items():
        draw(visit.page, strokes)
        visit.expect_answer(digit)
        shares = visit.shares()
        assert shares.index(max(shares)) == digit
        assert sum(shares) == pytest.approx(1, abs=1e-4)
        expect(visit.page.locator("#pictures img")).to_have_js_property("naturalWidth", 28)
        expect(visit.page.locator("#spoken")).to_have_text(re.compile(rf"^{digit}, (unsure, .+\s%|.+\s%\ssure)$"))
        visit.page.get_by_role("button", name="Clear").click()
        visit.expect_nothing()


def test_the_bars_move_before_the_pen_is_lifted(visit: Visit) -> None:
    page = visit.page
    box: Any = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    expect(page.locator("#bars .best")).to_have_count(1)
    heights = page.locator("#bars .bar").evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().top)")
    page.mouse.move(box["x"] + 0.45 * box["width"], box["y"] + 0.85 * box["height"], steps=20)
    visit.expect_answer(1)
    expect(page.locator("#spoken")).not_to_contain_text("%")  # not spoken before it is done
    page.wait_for_function(
        "before => [...document.querySelectorAll('#bars .bar')][1].getBoundingClientRect().top < before", arg=heights[1]
    )
    page.mouse.up()
    expect(page.locator("#spoken")).to_contain_text("1, ")


def test_only_the_answer_to_the_whole_drawing_is_spoken(visit: Visit) -> None:
    page, held = visit.page, list[Route]()
    page.route("**/predict", lambda route: route.continue_() if held else held.append(route))
    draw(page, STROKES[7])
    page.evaluate(
        "said = []; new MutationObserver(() => said.push(spoken.textContent)).observe(spoken, {childList: true})"
    )
    held[0].continue_()  # it asks about the first point
    page.wait_for_function("() => !asking")
    assert len([url for url in visit.requests if url.endswith("/predict")]) == 2
    assert page.evaluate("said") == [page.locator("#spoken").text_content()]


def test_undo_takes_the_last_stroke_back(visit: Visit) -> None:
    first, second = STROKES[4]
    draw(visit.page, [first])
    expect(visit.page.locator("#spoken")).to_contain_text("%")
    ink, shares = visit.ink(), visit.shares()
    draw(visit.page, [second])
    visit.expect_answer(4)
    assert visit.ink() > ink
    visit.page.get_by_role("button", name="Undo").click()
    expect(visit.page.locator("#bars .best")).not_to_have_attribute("aria-label", re.compile("^4: "))
    assert visit.ink() == ink
    visit.expect_shares(shares)
    visit.page.keyboard.press("z")
    visit.expect_nothing()


def test_the_keyboard_reaches_everything(visit: Visit) -> None:
    draw(visit.page, STROKES[7])
    visit.expect_answer(7)
    reached = []
    for _ in range(4):
        visit.page.keyboard.press("Tab")
        reached.append(visit.page.evaluate("document.activeElement.textContent.trim().split(' ')[0]"))
        assert visit.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert reached == ["Undo", "Clear", "Picture", "API"]
    visit.page.keyboard.press("Shift+Tab")
    visit.page.keyboard.press("Shift+Tab")
    visit.page.keyboard.press("Enter")
    visit.expect_nothing()
    draw(visit.page, STROKES[7])
    visit.expect_answer(7)
    visit.page.keyboard.press("Escape")
    visit.expect_nothing()


@pytest.mark.parametrize("visit", [PHONE], indirect=True)
def test_a_finger_draws_on_a_phone_without_scrolling_it(visit: Visit) -> None:
    page = visit.page
    assert page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [390, 844]
    expect(page.locator("#bars")).to_be_in_viewport(ratio=1)

    page.set_viewport_size({"width": 390, "height": 500})  # there is something to scroll now
    assert page.evaluate("document.documentElement.scrollHeight") > 500
    touch = page.context.new_cdp_session(page)
    box: Any = page.locator("canvas").bounding_box()
    for number, (x, y) in enumerate(((0.46, 0.85), (0.48, 0.65), (0.49, 0.4), (0.5, 0.15))):
        point: dict[str, Any] = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
        kind = "touchMove" if number else "touchStart"
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    visit.expect_answer(1)
    assert page.evaluate("scrollY") == 0
    hand(page, "camera", photograph("20359"), "photo.jpg", "image/jpeg")
    expect(page.locator("#digit")).to_have_text("20359")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    expect(page.get_by_role("button", name="Camera")).to_be_visible()


def test_the_drawing_survives_another_size_and_the_night(visit: Visit) -> None:
    page = visit.page
    draw(page, STROKES[3])
    visit.expect_answer(3)
    paper = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    page.set_viewport_size(PHONE["viewport"])
    page.wait_for_function("() => document.querySelector('canvas').width < 400")
    bright = page.locator("canvas").evaluate(COLOUR)
    page.emulate_media(color_scheme="dark")
    expect(page.locator("body")).not_to_have_css("background-color", paper)
    expect(page.locator("canvas")).not_to_have_css("color", bright)
    assert page.locator("canvas").evaluate("c => c.width") == page.locator("canvas").evaluate("c => c.clientWidth")
    assert visit.ink() > 1_000
    assert page.locator("canvas").evaluate(COLOUR) == page.locator("canvas").evaluate("c => getComputedStyle(c).color")
    draw(page, STROKES[3])  # over it, with the new measure
    visit.expect_answer(3)


def test_a_server_that_has_gone_is_said_to_have(visit: Visit) -> None:
    visit.page.context.set_offline(True)
    draw(visit.page, STROKES[7])
    expect(visit.page.locator("#sure")).to_have_text("The server does not answer")
    visit.errors.clear()  # the browser's own complaint
    visit.page.context.set_offline(False)
    visit.page.keyboard.press("z")
    draw(visit.page, STROKES[7])
    visit.expect_answer(7)
    visit.errors.clear()


def test_the_api_page_works_and_asks_nobody_else(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    draw(page, STROKES[7])
    visit.expect_answer(7)
    picture = page.evaluate("document.querySelector('#pictures img').src")
    (tmp_path / "seven.png").write_bytes(base64.b64decode(picture.partition(",")[2]))

    page.get_by_role("link", name="API").click()
    expect(page.locator(".opblock")).to_have_count(2)
    page.get_by_text("/predict").click()
    page.get_by_role("button", name="Try it out").click()
    page.locator("input[type=file]").set_input_files(tmp_path / "seven.png")
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table tbody")).to_contain_text('"number": "7"')


def moved(digit: int, x: float, size: float) -> list[list[Point]]:
    """The strokes of a digit, smaller and beside others."""
    return [[(x + size * (px - 0.5), 0.5 + size * (py - 0.5)) for px, py in stroke] for stroke in STROKES[digit]]


def test_a_number_that_is_drawn_is_read(visit: Visit) -> None:
    for digit, x in ((2, 0.2), (0, 0.5), (7, 0.8)):
        draw(visit.page, moved(digit, x, 0.5))
    expect(visit.page.locator("#digit")).to_have_text("207")
    expect(visit.page.locator("#pictures img")).to_have_count(3)
    expect(visit.page.locator("#spoken")).to_have_text(re.compile(r"^207, (least sure|unsure)\sof\sthe\s[207], .+\s%$"))


def photograph(number: str, size: tuple[int, int] = (3000, 2000)) -> bytes:
    """Digits in ink on paper with light from one side, as JPEG."""
    page = Image.new("L", size, 235)
    pen = ImageDraw.Draw(page)
    for place, digit in enumerate(number):
        for stroke in moved(int(digit), (place + 0.5) / len(number), 0.35):
            pen.line(
                [(x * size[0], y * size[0] - (size[0] - size[1]) / 2) for x, y in curve(stroke)],
                40,
                size[0] // 50,
                "curve",
            )
    light = np.linspace(1, 0.7, size[0])[None]
    noise = np.random.default_rng(0).normal(0, 3, (size[1], size[0]))
    file = io.BytesIO()
    Image.fromarray((np.asarray(page) * light + noise).clip(0, 255).astype(np.uint8)).save(file, "JPEG")
    return file.getvalue()


TRANSFER = """([content, name, type]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(atob(content), letter => letter.charCodeAt())], name, {type}));
  return data;
}"""
SENT = "async () => [...new Uint8Array(await photo.body.arrayBuffer())]"
ACCENTED = """canvas => {
  const levels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return levels.filter((red, at) => at % 4 == 0 && red - levels[at + 2] > 100).length;
}"""


def hand(page: Page, how: str, content: bytes, name: str, kind: str) -> None:
    """Drop a file on the page, paste it, or choose it."""
    if how in ("choose", "camera"):
        page.locator(f"[data-button={how}]").set_input_files({"name": name, "mimeType": kind, "buffer": content})
        return
    data = page.evaluate_handle(TRANSFER, [base64.b64encode(content).decode(), name, kind])
    if how == "drop":
        page.dispatch_event("canvas", "drop", {"dataTransfer": data})
    else:
        page.evaluate("data => document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data}))", data)


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
