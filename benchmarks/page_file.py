"""Does the page in one file read as Python does, how large is it, and how soon does it answer a stroke?

``python -m benchmarks.page_file`` exports the networks of ``--ckpt_path``, opens the files in Chromium, has all test
images and 1,000 pictures read there, draws the ten digits, and writes ``benchmarks/results/page_file.json`` and the
document's table (some minutes on two cores). ``--table`` writes the table alone.
"""

import argparse
import json
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from playwright.sync_api import Page, sync_playwright

from benchmarks.documents import write_tables
from benchmarks.processes import machine
from scripts.strokes import STROKES, draw
from src.data.checks import TEST_IMAGES
from src.data.idx import read_idx
from src.export import export
from src.runs.trained import Trained
from tests.chromium import CHROMIUM, chromium
from tests.export.pages import KEEP, LARGEST, LOGITS, compared, encode, kinds_of_pictures, rgba

RESULTS = Path(__file__).parent / "results" / "page_file.json"
DATA = Path("data")
PICTURES, AT_ONCE = 1_000, 50
REPEAT = "times => { for (let time = 0; time < times; time++) predict(...words); }"
TIMES = 200


def logits(page: Page, checkpoint: str) -> dict[str, Any]:
    """Return how far a page's logits and answers to the test images are from the checkpoint's."""
    images = read_idx(DATA / "MNIST" / "raw" / TEST_IMAGES)
    found = torch.tensor(page.evaluate(LOGITS, encode(images.numpy().tobytes())))
    expected, _ = Trained.load(checkpoint).answer(images)
    others = int((found.argmax(dim=1) != expected.argmax(dim=1)).sum())
    return {"largest_difference": float((found - expected).abs().max()), "other_answers": others}


def pixels(page: Page) -> dict[str, int]:
    """Return how many pictures become other pixels in a page than in Python, and by how much of 255 at most."""
    kinds = (rgba(picture) for _, picture in kinds_of_pictures(DATA, range(PICTURES // 8)))
    pictures = list(islice((picture for picture in kinds if max(picture.size) <= LARGEST), PICTURES))
    differences = []
    for start in range(0, len(pictures), AT_ONCE):
        differences += compared(page, pictures[start : start + AT_ONCE])
    return {"pictures": len(differences), "differ": sum(map(bool, differences)), "largest": max(differences)}


def strokes(page: Page) -> dict[str, float]:
    """Return the milliseconds of a core that an answer to each of the ten digits takes, however busy it is."""
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def seconds() -> float:
        metrics = tools.send("Performance.getMetrics")["metrics"]
        return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))

    page.evaluate(KEEP)
    times = []
    for digit in STROKES.values():
        draw(page, digit)
        start = seconds()
        page.evaluate(REPEAT, TIMES)
        times.append(1000 * (seconds() - start) / TIMES)
        page.keyboard.press("Escape")
    return {"mean": float(np.mean(times)), "slowest": max(times)}


def measure(checkpoints: list[str]) -> dict[str, Any]:
    """Return the figures of each network in each precision."""
    found: dict[str, Any] = {"networks": [], "machine": machine()}
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM)
        for checkpoint in checkpoints:
            for precision in ("float16", "float32"):
                path = Path(folder) / f"{precision}.html"
                export(checkpoint, str(path), precision=precision)
                page = browser.new_page()
                page.goto(path.as_uri())
                about = json.loads(page.locator("#about").text_content() or "")
                row = {"model": about["model"], "test/acc": about["test/acc"], "precision": precision}
                found["networks"].append(row | {"bytes": path.stat().st_size} | logits(page, checkpoint))
                print(json.dumps(found["networks"][-1]), flush=True)
        found["milliseconds"] = strokes(page)
        found["pixels"] = pixels(page)
        browser.close()
    return found


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the document's table."""
    rows = ["| network | test/acc | weights | file | other answers | logits differ by at most |", "|---" * 6 + "|"]
    for row in results["networks"]:
        rows.append(
            f"| {row['model']} | {row['test/acc']:.4f} | {row['precision']} | {row['bytes'] / 1000:,.0f} kB | "
            f"{row['other_answers']} of 10,000 | {row['largest_difference']:.2g} |"
        )
    pixels, times = results["pixels"], results["milliseconds"]
    rows += [
        "",
        f"Of {pixels['pictures']:,} pictures, {pixels['differ']} become other pixels than in Python, by at most "
        f"{pixels['largest']} of 255. An answer to a stroke takes a core {times['mean']:.1f} ms, and "
        f"{times['slowest']:.1f} ms for the slowest of the ten digits.",
    ]
    return {"page_file": "\n".join(rows)}


def main() -> None:
    """Measure, or only make the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt_path", nargs="+", default=["best"], help="checkpoints or run folders")
    parser.add_argument("--table", action="store_true", help="only write the document's table from recorded results")
    words = parser.parse_args()
    if not words.table:
        RESULTS.write_text(json.dumps(measure(words.ckpt_path), indent=1) + "\n")
    write_tables(tables(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
