"""Make the README's pictures from a real run.

``python -m scripts.screenshots lightning_logs/version_0 --study lightning_logs/sweeps/sweep`` starts TensorBoard and
``src.cli serve`` on the run, TensorBoard on the sweep, opens them in Chromium (Debian: apt-get install chromium) and
writes ``images/*.png``, each below 300 kB. Either can be left out.
"""

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from scripts.strokes import STROKES, Point, draw

IMAGES = Path("images")
LARGEST = 300_000
# a four whose top is nearly closed, so that the bars have something to show
NEARLY_NINE: list[list[Point]] = [
    [(0.49, 0.2), (0.36, 0.34), (0.33, 0.48), (0.46, 0.52), (0.63, 0.47)],
    [(0.65, 0.2), (0.62, 0.5), (0.57, 0.82)],
]
CHROMIUM = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def save(name: str, png: bytes) -> None:
    """Write a picture with 128 colours, which the eye does not tell from all of them here."""
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)
    size = (IMAGES / f"{name}.png").stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{name}.png has {size:,} bytes, more than {LARGEST:,}")


def scalars(page: Page, address: str) -> None:
    """Loss and accuracy, train and val in one chart each."""
    page.set_viewport_size({"width": 1300, "height": 600})
    page.goto(f"{address}#custom_scalars&_smoothingWeight=0")
    page.locator("tf-custom-scalar-multi-line-chart-card path.line").last.wait_for(state="attached")
    legends = page.locator(".toggle-matches-button")
    legends.nth(1).wait_for()
    for legend in legends.all():
        legend.click()
    page.wait_for_timeout(2_000)  # the lines move into their place
    save("scalars", page.screenshot())


def projector(page: Page, address: str) -> None:
    """The hidden layer's activations by t-SNE, coloured by class."""
    page.set_viewport_size({"width": 1300, "height": 800})
    page.goto(f"{address}#projector")
    frame = page.frame_locator("iframe").frame_locator("iframe")
    frame.locator("#colorby").click()
    frame.locator("paper-item", has_text="class").filter(visible=True).click()
    frame.locator("paper-tab", has_text="T-SNE").or_(frame.locator(".ink-tab", has_text="T-SNE")).first.click()
    page.wait_for_timeout(60_000)  # some hundred iterations
    save("projector", page.screenshot())


def drawing(browser: Browser, address: str) -> None:
    """The page with a drawing in a window by day, and with a photograph on a phone by night; a digit drawn there."""
    page = browser.new_page(viewport={"width": 700, "height": 500})
    page.goto(address)
    draw(page, STROKES[7])
    save("seven", page.locator("canvas").screenshot())
    page.close()
    pictures = []
    kinds: tuple[tuple[int, Literal["light", "dark"], bool], ...] = ((980, "light", False), (360, "dark", True))
    for width, scheme, touch in kinds:
        page = browser.new_page(
            viewport={"width": width, "height": 700}, color_scheme=scheme, has_touch=touch, device_scale_factor=1.5
        )
        page.goto(address)
        if touch:
            page.locator("[data-button=camera]").set_input_files(IMAGES / "digits" / "photo.jpg")
        else:
            draw(page, NEARLY_NINE)
        page.wait_for_timeout(1_000)  # the bars move into their place
        pictures.append(Image.open(io.BytesIO(page.screenshot())))
        page.close()
    window, phone = pictures
    both = Image.new("RGB", (window.width + 36 + phone.width, window.height), "white")
    both.paste(window)
    both.paste(phone, (window.width + 36, 0))
    file = io.BytesIO()
    both.save(file, "PNG")
    save("draw", file.getvalue())


def draw_page(run: Path) -> None:
    """Start the server on a run and take the picture of its page."""
    command = [sys.executable, "-m", "src.cli", "serve", "--ckpt_path", str(run), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        address = next(line for line in server.stdout if line.startswith("Draw on")).split()[2]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
            drawing(browser, address)
            browser.close()
    finally:
        server.terminate()
        server.wait()


@contextmanager
def tensorboard(logdir: Path) -> Iterator[tuple[Page, str]]:
    """Start TensorBoard on a folder; yield a page and the address."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr
        address = next(line for line in server.stderr if " at http" in line).split(" at ")[1].split()[0]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
            yield browser.new_page(), address
            browser.close()
    finally:
        server.terminate()
        server.wait()


def run_pages(run: Path) -> None:
    """Take the pictures of a run."""
    draw_page(run)
    events = EventAccumulator(str(run), size_guidance={"images": 0})
    events.Reload()
    for name, tag in (("mistakes", "val/worst_mistakes"), ("weights", "weights/first_layer")):
        save(name, events.Images(tag)[-1].encoded_image_string)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "version_0").symlink_to(run.resolve())
        with tensorboard(Path(folder)) as (page, address):
            scalars(page, address)
            projector(page, address)


def study_page(study: Path) -> None:
    """Take the picture of a sweep: one line per trial, through its settings to its accuracy."""
    with tensorboard(study) as (page, address):
        page.set_viewport_size({"width": 1300, "height": 620})
        page.goto(f"{address}#hparams")
        page.locator("tf-hparams-table-view vaadin-grid-cell-content").first.wait_for()
        page.locator("paper-tab", has_text="PARALLEL COORDINATES").click()
        page.wait_for_timeout(3_000)
        save("hparams", page.screenshot())


def main() -> None:
    """Make the pictures of what is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="the run folder")
    parser.add_argument("--study", type=Path, help="a sweep's folder")
    asked = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    if asked.run:
        run_pages(asked.run)
    if asked.study:
        study_page(asked.study)


if __name__ == "__main__":
    main()
