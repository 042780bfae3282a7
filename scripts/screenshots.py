"""Make the README's pictures from a real run.

``python -m scripts.screenshots lightning_logs/version_0`` starts TensorBoard on the run, opens it in Chromium (Debian:
apt-get install chromium) and writes ``images/*.png``, each below 300 kB.
"""

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

IMAGES = Path("images")
LARGEST = 300_000
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


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the run folder")
    run: Path = parser.parse_args().run
    IMAGES.mkdir(exist_ok=True)
    events = EventAccumulator(str(run), size_guidance={"images": 0})
    events.Reload()
    for name, tag in (("mistakes", "val/worst_mistakes"), ("weights", "weights/first_layer")):
        save(name, events.Images(tag)[-1].encoded_image_string)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "lightning_logs").mkdir()
        (Path(folder) / "lightning_logs" / "version_0").symlink_to(run.resolve())
        server = subprocess.Popen(
            [sys.executable, "-m", "tensorboard.main", "--logdir", "lightning_logs", "--port", "0"],
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stderr
            address = next(line for line in server.stderr if " at http" in line).split(" at ")[1].split()[0]
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
                page = browser.new_page()
                scalars(page, address)
                projector(page, address)
                browser.close()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
