"""The page in one file: opened from a folder with the network cut off, it reads as Python does."""

import base64
import contextlib
import io
import json
import re
import shutil
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from torch import nn

from benchmarks.variants import VARIANTS, pair_that_touches, string_of_digits
from scripts.strokes import STROKES, draw
from src.cli.main import main
from src.common.errors import UsageError
from src.common.pictures import PictureError
from src.data.checks import TEST_IMAGES, TEST_LABELS
from src.data.idx import read_idx
from src.digits.number import read_number
from src.export import html
from src.runs.trained import Trained
from src.serve.app import answer
from src.serve.limits import check_picture
from tests.chromium import chromium
from tests.conftest import Answer, Cli
from tests.digits.test_desk import SHEETS, photo
from tests.digits.test_frame import BLANKS, CHANGES, drawn
from tests.digits.test_number import page as number_page
from tests.draw.page import hand, photograph
from tests.refusals.requests import Request, check, files

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
DRAWN = "words[0].toDataURL().split(',')[1]"
LARGEST = 2048  # of a picture's sides in the page


def export(checkpoint: Path, output: Path, *words: str) -> int:
    return main(["export", "--ckpt_path", str(checkpoint), "--output", str(output), *words])


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


def encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


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
    for seed in seeds:
        for name, vary in VARIANTS.items():
            yield f"{name}, {seed}", vary(Image.fromarray(images[seed]), np.random.default_rng(seed))
        for name, sheet in SHEETS.items():
            yield f"a sheet on a desk, {name}, {seed}", photo(sheet, seed)[0]
        for kind in (string_of_digits, pair_that_touches):
            yield f"{kind.__name__}, {seed}", kind(images, labels, np.random.default_rng(seed))[0]


def read_in_python(image: Image.Image) -> Any:
    content = io.BytesIO()
    image.save(content, "PNG")
    content.seek(0)
    try:
        return [[(digit.pixels, list(digit.box or ())) for digit in line] for line in read_number(content)]
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
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    with Image.open(io.BytesIO(content)) as picture:
        picture.transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", exif=exif)
    return file.getvalue()


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


def test_what_cannot_be_read_is_said(page: Page) -> None:
    hand(page, "drop", b"%PDF-1.4", "seven.pdf", "application/pdf")
    expect(page.locator("#sure")).to_have_text("This browser cannot read this picture.")
    blank = io.BytesIO()
    Image.new("L", (60, 60), 200).save(blank, "PNG")
    hand(page, "choose", blank.getvalue(), "blank.png", "image/png")
    expect(page.locator("#sure")).to_have_text("This picture cannot be read: no ink found.")


@pytest.mark.parametrize("runner", ["node", "nothing", "a browser that does not start"])
def test_the_proof_takes_what_is_there(
    runner: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node = shutil.which("node")
    paths = {
        "node": {"node": node},
        "nothing": {},
        "a browser that does not start": {"chromium": shutil.which("false")},
    }
    if runner == "node" and not node:
        pytest.skip("without Node")
    monkeypatch.setattr(html.shutil, "which", paths[runner].get)
    assert export(trained, tmp_path / "digit.html", "--precision", "float32") == 0

    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("bytes, a page")
    proven = "Checked: all 70 test images of MNIST get the answers of "
    assert second.startswith(
        proven if runner == "node" else "Not checked: nothing here runs a page: none of chromium, "
    )


def test_a_page_that_answers_otherwise_is_not_written(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chromium()
    original = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda layer, values: original(layer, values) + 0.02)

    assert export(trained, tmp_path / "digit.html") == 1
    assert "digit.html was not written: " in capsys.readouterr().err
    assert files(tmp_path) == {}


def with_weight(run: Path, value: float) -> None:
    path = run / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"]["net.linear1.weight"][0, 0] = value
    torch.save(content, path)


@pytest.mark.parametrize(
    ("weight", "words", "says"),
    [
        (0.1, "--precision float32 --output m.pt2", ("--precision float32", ".html", "leave it out")),
        (0.1, "--precision float64", ("--precision", "float16", "float32")),
        (0.1, "--output gone/digit.html", ("--output gone/digit.html", "no folder gone")),
        (7e4, "", ("--precision float16", "65,504", "--precision float32")),
        (torch.nan, "", ("best.ckpt", "values that are not finite")),
    ],
)
def test_what_no_page_can_be_made_of_is_refused_in_a_sentence(
    weight: float, words: str, says: tuple[str, ...], own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_weight(own_run, weight)
    before = files(tmp_path)

    with contextlib.chdir(tmp_path):
        code = main(["export", "--ckpt_path", "best", "--output", "digit.html", *words.split()])
    check(Answer(code, *capsys.readouterr()), Request("", says))
    assert files(tmp_path) == before


def test_a_network_that_no_page_runs_is_refused_in_a_sentence(
    trained: Path, cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cnn = ["--model.network", "cnn", "--model.hidden_units", "[8]"]
    assert cli("fit", "--trainer.max_epochs", "1", "--inspection.enabled", "false", *cnn).code == 0
    capsys.readouterr()
    says = ("an .html file runs an mlp for images of 28 x 28 pixels", "MNIST", "model.onnx")
    code = export(tmp_path / "lightning_logs" / "version_0", tmp_path / "digit.html")
    check(Answer(code, *capsys.readouterr()), Request("", says))

    network = Trained.load(str(trained)).network
    for shape, dataset in (((32, 32, 3), "CIFAR-10"), ((28, 28), "pictures")):
        with pytest.raises(UsageError, match=says[0]):
            html.to_html(network, shape, {"dataset": dataset, "precision": "float16"})
    assert not (tmp_path / "digit.html").exists()


def test_other_classes_have_their_names_on_the_bars(
    browser: Browser, tmp_path: Path, own_digits: Path, cli: Cli
) -> None:
    shutil.copytree(own_digits, tmp_path / "fashion")
    words = ["--data.dataset", "FashionMNIST", "--data.data_dir", str(tmp_path / "fashion")]
    deep = ["--model.hidden_units", "[16,8,8]", "--data.normalization", "standard"]
    assert cli("fit", "--trainer.max_epochs", "1", "--inspection.enabled", "false", *deep, *words).code == 0
    path = tmp_path / "clothes.html"
    assert export(tmp_path / "lightning_logs" / "version_0", path) == 0

    page = browser.new_page()
    page.goto(path.as_uri())
    names = [text.strip() for text in page.locator("#bars li").all_text_contents()]
    assert (names[0], names[-1], len(names)) == ("T-shirt", "Ankle boot", 10)
    draw(page, STROKES[7])
    assert page.locator("#digit").text_content() in names
    page.close()
