"""A person at the page to draw on: a visit, a file that is handed over, a photograph."""

import base64
import io
import re
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect

from scripts.strokes import STROKES, Point, curve

PATIENCE = 40_000  # milliseconds
expect.set_options(timeout=PATIENCE)
COUNT = """canvas => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
  copy.drawImage(canvas, 0, 0);
  return copy.getImageData(0, 0, canvas.width, canvas.height).data.filter((value, at) => at % 4 == 3 && value).length;
}"""
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SHARES = "items => items.map(item => Number(getComputedStyle(item).getPropertyValue('--share')))"
TRANSFER = """([content, name, type]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(atob(content), letter => letter.charCodeAt())], name, {type}));
  return data;
}"""


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


def moved(digit: int, x: float, size: float) -> list[list[Point]]:
    """The strokes of a digit, smaller and beside others."""
    return [[(x + size * (px - 0.5), 0.5 + size * (py - 0.5)) for px, py in stroke] for stroke in STROKES[digit]]


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
