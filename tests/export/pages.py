"""The page in one file, opened in a browser: what its reader makes of images and pictures, beside Python's."""

import base64
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from playwright.sync_api import Page

from benchmarks.variants import VARIANTS, pair_that_touches, string_of_digits
from src.common.pictures import PictureError
from src.data.checks import TEST_IMAGES, TEST_LABELS
from src.data.idx import read_idx
from src.digits.number import read_number
from tests.digits.changes import BLANKS, CHANGES
from tests.digits.drawings import SHEETS, drawn, in_file, photo, under_an_arm
from tests.digits.drawings import page as number_page

LOGITS = """content => {
  const images = Uint8Array.from(atob(content), letter => letter.charCodeAt(0)), logits = [];
  for (let at = 0; at < images.length; at += 784) logits.push([...reader.logitsOf(images.subarray(at, at + 784))]);
  return logits;
}"""
READ = """pictures => Promise.all(pictures.map(async ([content, width, height]) => {
  const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
  const whole = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const data = new Uint8ClampedArray(await new Response(whole).arrayBuffer());
  try {
    return reader.readNumber({data, width, height}).map(line => line.map(({pixels, box}) => [[...pixels], box]));
  } catch (error) {
    if (!(error instanceof reader.PictureError)) throw error;
    return error.message;
  }
}))"""
KEEP = "() => { const before = predict; predict = (...words) => before(...globalThis.words = words); }"
LARGEST = 2048  # of a picture's sides in the page


def encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def rgba(image: Image.Image) -> Image.Image:
    """A picture as a browser decodes it."""
    if image.mode in ("I", "F", "I;16"):
        levels = np.asarray(image, np.float32)
        image = Image.fromarray((255 * (levels - levels.min()) / max(np.ptp(levels), 1)).astype(np.uint8))
    return (image.getchannel(0) if image.mode == "LAB" else image).convert("RGBA")


def kinds_of_pictures(mnist: Path, seeds: range) -> Iterator[tuple[str, Image.Image]]:
    """Pictures of all kinds that the reader's tests draw, with a network's images in each of their variants."""
    raw = mnist / "MNIST" / "raw"
    images, labels = (read_idx(raw / name).numpy() for name in (TEST_IMAGES, TEST_LABELS))
    for name, change in CHANGES.items():
        yield name, change(drawn())
        yield f"{name}, thin", change(drawn(4))
    yield from BLANKS.items()
    yield "lines", number_page([drawn(), drawn()], [drawn(), drawn(30), drawn()])
    yield "far apart", number_page([drawn(), drawn()], across=900)
    yield "a stroke under an arm", number_page([under_an_arm(), drawn()])
    small = drawn().resize((66, 60))
    yield "a speck beside digits", number_page([drawn(), small, drawn()])
    yield "more digits than a number has", number_page(*[[small] * 9] * 3, across=60, down=70)
    for seed in seeds:
        for name, vary in VARIANTS.items():
            yield f"{name}, {seed}", vary(Image.fromarray(images[seed]), np.random.default_rng(seed))
        for name, sheet in SHEETS.items():
            yield f"a sheet on a desk, {name}, {seed}", photo(sheet, seed)[0]
        for kind in (string_of_digits, pair_that_touches):
            yield f"{kind.__name__}, {seed}", kind(images, labels, np.random.default_rng(seed))[0]


def read_in_python(image: Image.Image) -> Any:
    try:
        lines = read_number(in_file(image, "PNG"))
        return [[(digit.pixels, list(digit.box or ())) for digit in line] for line in lines]
    except PictureError as error:
        return str(error)


def compared(page: Page, pictures: list[Image.Image]) -> list[int]:
    """Return by how much of 255 the pixels of each differ in the page from Python's; 255 if anything else does."""
    sent = [[encode(zlib.compress(picture.tobytes(), 1)), *picture.size] for picture in pictures]
    differences = []
    for picture, found in zip(pictures, page.evaluate(READ, sent), strict=True):
        expected = read_in_python(picture)
        if isinstance(expected, str) or isinstance(found, str):
            differences.append(0 if found == expected else 255)
        elif [[box for _, box in line] for line in found] != [[box for _, box in line] for line in expected]:
            differences.append(255)
        else:
            pairs = zip(chain(*found), chain(*expected), strict=True)
            apart = [torch.tensor(ours).reshape(28, 28) - theirs.int() for (ours, _), (theirs, _) in pairs]
            differences.append(int(torch.stack(apart).abs().max()))
    return differences
