"""What each dashboard of TensorBoard must show of two runs, the second one tested."""

import io
import re
import time

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, TimeoutError, expect

from tests.conftest import TEST_SIZE

PATIENCE = 40_000  # milliseconds
expect.set_options(timeout=PATIENCE)


def cards(page: Page, card: str, tags: str, count: int) -> Locator:
    """Search for tags and wait for their cards."""
    page.locator("tf-tag-filterer input").first.fill(tags)
    found = page.locator("tf-category-paginated-view").first.locator(card)
    expect(found).to_have_count(count)
    return found


def expect_drawn(found: Locator, path: str) -> None:
    """Wait until each card has drawn a line or an area through more than one point."""
    for card in found.all():
        expect(card.locator(path).first).to_have_attribute("d", re.compile(r"M.*L.*"), timeout=PATIENCE)


def scalars(page: Page) -> None:
    for tags in ("^(train|val)/(loss|acc)$", "^trainer/lr$|^trainer/samples_per_second$"):
        expect_drawn(cards(page, "tf-scalar-card", tags, tags.count("|") * 2 or 1), "path.line")


def custom_scalars(page: Page) -> None:
    charts = page.locator("tf-custom-scalar-multi-line-chart-card")
    expect(charts).to_have_count(2)
    expect_drawn(charts, "path.line")
    for chart in charts.all():
        expect(chart).to_contain_text("Matches (4)")  # train and val of both runs


def images(page: Page) -> None:
    both = ["train/first_batch", "weights/first_layer"]
    evaluated = ["confusion", "reliability", "surest_and_least_sure", "worst_mistakes"]
    counts = dict.fromkeys([*both, *(f"val/{name}" for name in evaluated)], 2)
    for tag, count in (counts | dict.fromkeys((f"test/{name}" for name in evaluated), 1)).items():
        for card in cards(page, "tf-image-loader", f"^{tag}$", count).all():
            picture = card.locator("img")
            expect(picture).to_be_visible()
            page.wait_for_function("img => img.naturalWidth > 200", arg=picture.element_handle())


def graphs(page: Page) -> None:
    for node in ("input", "MLP", "output"):
        expect(page.locator(f"tf-graph-scene g.node[data-name={node}]")).to_be_visible()


def distributions(page: Page) -> None:
    for number in (1, 2):
        expect_drawn(cards(page, "tf-distribution-loader", f"^weights/linear{number}", 8), "path.area")


def histograms(page: Page) -> None:
    for number in (1, 2):
        found = cards(page, "tf-histogram-loader", f"^weights/linear{number}", 8)
        expect_drawn(found, ".histogram path.outline")
        for card in found.all():
            expect(card.locator(".histogram")).to_have_count(2)  # before training and after


def text(page: Page) -> None:
    shown = {
        "^run/command": ("python -m src.cli fit", 2),
        "^run/config": ("hidden_units", 2),
        "^run/parameters": ("203,530", 2),
        "^val/classes": ("precision", 2),
        "^test/command": ("python -m src.cli test", 1),
        "^test/classes": ("precision", 1),
    }
    for tags, (words, count) in shown.items():
        for card in cards(page, "tf-text-loader", tags, count).all():
            expect(card).to_contain_text(words)


def pr_curves(page: Page) -> None:
    for split in ("val", "test"):
        expect_drawn(cards(page, "tf-pr-curve-card", f"^{split}/", 10), "path.line")


def projector(page: Page) -> None:
    frame = page.frame_locator("iframe").frame_locator("iframe")
    panel = frame.locator("vz-projector-data-panel")

    def choose(menu: int, entry: str) -> None:
        deadline = time.monotonic() + PATIENCE / 1000
        while True:  # a menu that is opened before it is filled stays empty
            panel.locator("paper-dropdown-menu").nth(menu).click()
            try:
                panel.locator("paper-item", has_text=entry).filter(visible=True).click(timeout=min(PATIENCE, 3_000))
                return
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise

    choose(0, "version_1")  # the run that was tested
    for split, points in (("test", TEST_SIZE), ("val", 60)):
        choose(1, f"{split}, epoch")
        expect(frame.locator("vz-projector")).to_contain_text(f"Points: {points}")
        expect(frame.locator("vz-projector")).to_contain_text("Dimension: 256")
        expect(panel).to_contain_text(f"projector/{split}/images.tsv")
        expect(panel.locator("#labelby")).to_have_js_property("value", "class")
    scatter = frame.locator("vz-projector canvas").first
    deadline = time.monotonic() + PATIENCE / 1000
    while (dark := dark_pixels(scatter)) < 500:
        assert time.monotonic() < deadline, f"only {dark} dark pixels: the digits are not drawn"


def dark_pixels(canvas: Locator) -> int:
    pixels = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("L"))
    return int((pixels < 100).sum())


def hparams(page: Page) -> None:
    table = page.locator("tf-hparams-table-view")
    for name in ("hidden_units", "lr", "val/best_acc", "val/best_loss"):
        expect(
            table.locator("vaadin-grid-cell-content", has_text=re.compile(f"^\\s*{name}\\s*$")).first
        ).to_be_visible()


CHECKS = (
    scalars, custom_scalars, images, graphs, distributions, histograms, text, pr_curves, projector, hparams
)  # fmt: skip
