"""The page in one file: opened from a folder with the network cut off, it reads as Python does."""

import base64
import contextlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from benchmarks.variants import pair_that_touches, string_of_digits
from scripts.strokes import STROKES, draw
from src.data.checks import TEST_IMAGES, TEST_LABELS
from src.data.idx import read_idx
from src.runs.trained import Trained
from src.serve.app import answer
from src.serve.limits import check_picture
from tests.chromium import chromium
from tests.conftest import Cli
from tests.draw.page import hand, photograph
from tests.export.conftest import ONE_EPOCH, export
from tests.export.pages import KEEP, LARGEST, LOGITS, compared, encode, kinds_of_pictures, rgba
from tests.faults.pictures import saved

DRAWN = "words[0].toDataURL().split(',')[1]"
UNSURE = """async content => {
  const image = Object.assign(new Image(), {src: `data:image/png;base64,${content}`});
  await image.decode();
  return predict(image).digits.map(({unsure}) => unsure);
}"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, mnist_run: Path) -> Path:
    chromium()
    path, out = tmp_path_factory.mktemp("page") / "digit.html", io.StringIO()
    with contextlib.redirect_stdout(out):
        assert export(mnist_run, path) == 0
    assert "\nChecked: all 10,000 test images of MNIST get the answers of " in out.getvalue()
    return path


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    """The file, opened without a network; it asks for nothing and complains of nothing."""
    context = browser.new_context(viewport={"width": 1100, "height": 760}, offline=True)
    context.add_init_script("delete globalThis.Float16Array")  # as in browsers before 2025
    page, errors, requests = context.new_page(), list[str](), list[str]()
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    yield page
    context.close()
    assert errors == []
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == [file.as_uri()]


def test_a_fresh_run_makes_one_small_file_that_says_what_it_is(file: Path, page: Page, mnist_run: Path) -> None:
    assert file.stat().st_size < 600_000
    content = file.read_text()
    assert re.search(r"(src|href)=\"(?!data:)|url\(|@import|fetch\(", content) is None
    expect(page.locator("#model")).to_have_text(
        re.compile(r"^MLP 784-256-10, version_0, best: 9\d\.\d\d% of MNIST's test images are read right$")
    )
    digests = json.loads((mnist_run / "result.json").read_text())["data"]["sha256"]
    assert page.locator("footer dd").all_text_contents() == list(digests.values())


def test_images_get_the_checkpoints_answers(page: Page, mnist: Path, mnist_run: Path) -> None:
    images = read_idx(mnist / "MNIST" / "raw" / TEST_IMAGES)[:1000]
    found = torch.tensor(page.evaluate(LOGITS, encode(images.numpy().tobytes())))
    expected, _ = Trained.load(str(mnist_run)).answer(images)

    torch.testing.assert_close(found, expected, rtol=0, atol=1e-2)
    first, second = expected.topk(2).values.T
    has_answer = first - second > 1e-2
    assert has_answer.float().mean() > 0.99
    assert not torch.equal(found, expected)  # the weights are halves
    assert torch.equal(found.argmax(dim=1)[has_answer], expected.argmax(dim=1)[has_answer])


def test_pictures_of_all_kinds_become_the_same_pixels(page: Page, mnist: Path) -> None:
    kinds = ((name, rgba(picture)) for name, picture in kinds_of_pictures(mnist, range(2)))
    names, pictures = zip(*((name, picture) for name, picture in kinds if max(picture.size) <= LARGEST), strict=True)
    assert len(pictures) > 90

    differences = dict(zip(names, compared(page, list(pictures)), strict=True))
    assert {name: difference for name, difference in differences.items() if difference > 1} == {}


def pixels(url: str) -> torch.Tensor:
    content = base64.b64decode(url.partition(",")[2])
    return torch.tensor(np.asarray(Image.open(io.BytesIO(content)).convert("L"))).int()


def expect_as_from_server(page: Page, trained: Trained, content: bytes) -> None:
    expected = answer(trained, trained.name, check_picture(content))
    urls = page.locator("#pictures img").evaluate_all("images => images.map(image => image.src)")
    for ours, theirs in zip(urls, expected.digits, strict=True):
        assert int((pixels(ours) - pixels(theirs.picture)).abs().max()) <= 1
    shares = "bars => bars.map(bar => Number(getComputedStyle(bar).getPropertyValue('--share')))"
    least = min(expected.digits, key=lambda digit: digit.confidence)
    assert page.locator("#bars .bar").evaluate_all(shares) == pytest.approx(least.probabilities, abs=1e-2)
    assert page.locator("#digit").text_content() == expected.number


def turned(content: bytes) -> bytes:
    """A photograph on its side, to be turned by 90 degrees clockwise."""
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(io.BytesIO(content)) as picture:
        return saved(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)


def test_drawn_and_photographed_digits_are_read_as_the_server_reads_them(page: Page, mnist_run: Path) -> None:
    trained = Trained.load(str(mnist_run))
    page.evaluate(KEEP)
    for digit in (2, 4):
        draw(page, STROKES[digit])
        expect(page.locator("#spoken")).to_have_text(re.compile(rf"^{digit}, "))
        expect_as_from_server(page, trained, base64.b64decode(page.evaluate(DRAWN)))
        page.keyboard.press("Escape")
    for content, number in ((photograph("203", (900, 600)), "203"), (turned(photograph("35", (600, 400))), "35")):
        hand(page, "choose", content, "photo.jpg", "image/jpeg")
        expect(page.locator("#digit")).to_have_text(number)
        expect_as_from_server(page, trained, content)
    hand(page, "choose", photograph("2035"), "photo.jpg", "image/jpeg")  # the page makes it smaller before it is read
    expect(page.locator("#digit")).to_have_text("2035")


def test_the_same_digits_are_unsure_as_from_the_server(page: Page, mnist: Path, mnist_run: Path) -> None:
    raw, trained = mnist / "MNIST" / "raw", Trained.load(str(mnist_run))
    images, labels = (read_idx(raw / name).numpy() for name in (TEST_IMAGES, TEST_LABELS))
    kinds = set()
    for seed in range(8):
        for draw_digits in (string_of_digits, pair_that_touches):
            content = saved(draw_digits(images, labels, np.random.default_rng(seed))[0], "PNG")
            expected = answer(trained, trained.name, check_picture(content)).digits
            assert page.evaluate(UNSURE, encode(content)) == [digit.unsure for digit in expected]
            kinds |= {(digit.unsure, digit.confidence > 0.9, digit.confidence > 0.5) for digit in expected}
    assert kinds >= {(False, True, True), (True, False, True), (True, True, True)}  # the last are wide


def test_what_cannot_be_read_is_said(page: Page) -> None:
    hand(page, "drop", b"%PDF-1.4", "seven.pdf", "application/pdf")
    expect(page.locator("#sure")).to_have_text("This browser cannot read this picture.")
    hand(page, "choose", saved(Image.new("L", (60, 60), 200)), "blank.png", "image/png")
    expect(page.locator("#sure")).to_have_text("This picture cannot be read: no ink found.")


def test_other_classes_have_their_names_on_the_bars(
    browser: Browser, tmp_path: Path, own_digits: Path, cli: Cli
) -> None:
    shutil.copytree(own_digits, tmp_path / "fashion")
    words = ["--data.dataset", "FashionMNIST", "--data.data_dir", str(tmp_path / "fashion")]
    deep = ["--model.hidden_units", "[16,8,8]", "--data.normalization", "standard"]
    assert cli("fit", *ONE_EPOCH, *deep, *words).code == 0
    path = tmp_path / "clothes.html"
    assert export(tmp_path / "lightning_logs" / "version_0", path) == 0

    page = browser.new_page()
    page.goto(path.as_uri())
    names = [text.strip() for text in page.locator("#bars li").all_text_contents()]
    assert (names[0], names[-1], len(names)) == ("T-shirt", "Ankle boot", 10)
    draw(page, STROKES[7])
    assert page.locator("#digit").text_content() in names
    hand(page, "choose", photograph("35", (600, 400)), "photo.jpg", "image/jpeg")
    expect(page.locator("#pictures img")).to_have_count(1)  # a picture is of one piece of clothing
    page.close()
