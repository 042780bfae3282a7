"""What is drawn on the page is read while it is drawn, on every device and by the keyboard too."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from scripts.strokes import STROKES, draw
from tests.draw.page import PHONE, Visit, hand, moved, photograph

COLOUR = """canvas => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
  copy.drawImage(canvas, 0, 0);
  const levels = copy.getImageData(0, 0, canvas.width, canvas.height).data;
  const at = levels.findIndex((value, at) => at % 4 == 3 && value == 255);
  return `rgb(${levels.slice(at - 3, at).join(", ")})`;
}"""


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


def test_a_number_that_is_drawn_is_read(visit: Visit) -> None:
    for digit, x in ((2, 0.2), (0, 0.5), (7, 0.8)):
        draw(visit.page, moved(digit, x, 0.5))
    expect(visit.page.locator("#digit")).to_have_text("207")
    expect(visit.page.locator("#pictures img")).to_have_count(3)
    expect(visit.page.locator("#spoken")).to_have_text(re.compile(r"^207, (least sure|unsure)\sof\sthe\s[207], .+\s%$"))
