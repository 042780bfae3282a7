"""What the network in a page answers, beside Python: digits set upright, any normalization, weights in float16."""

from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from src.data.checks import TEST_IMAGES
from src.data.datasets import DIGITS
from src.data.idx import read_idx
from src.export.html import to_html
from src.model.mlp import MLP
from src.runs.trained import WEIGHTS, PixelClassifier, Trained
from tests.export.pages import LOGITS, encode


def in_page(browser: Browser, network: PixelClassifier, precision: str, images: Tensor, folder: Path) -> Tensor:
    """Return a page's logits for images."""
    metadata = {
        "model": "MLP",
        "dataset": "MNIST",
        "checkpoint": "</script><script>'a folder may have any name'",
        "test/acc": 1.0,
        "classes": list(DIGITS),
        "data_sha256": {},
        "precision": precision,
        "deskew": network.deskew,
        "normalization": {"mean": network.mean, "std": network.std},
    }
    path = folder / "digit.html"
    path.write_bytes(to_html(network, (28, 28), metadata))
    page = browser.new_page()
    page.goto(path.as_uri())
    logits = torch.tensor(page.evaluate(LOGITS, encode(images.contiguous().numpy().tobytes())))
    page.close()
    return logits


def slanted(images: Tensor, slope: float) -> Tensor:
    theta = torch.tensor([[[1.0, slope, 0.0], [0.0, 1.0, 0.0]]]).expand(len(images), 2, 3)
    grid = affine_grid(theta, [len(images), 1, 28, 28], align_corners=False)
    return grid_sample(images[:, None].float(), grid, align_corners=False)[:, 0].round().byte()


@pytest.mark.parametrize("kind", ["as they are", "slanted", "slanted beyond the limit", "on grey paper"])
def test_digits_are_set_upright_as_in_python(kind: str, browser: Browser, mnist: Path, tmp_path: Path) -> None:
    images = read_idx(mnist / "MNIST" / "raw" / TEST_IMAGES)[:100]
    if kind.startswith("slanted"):
        images = slanted(images, 1.6 if "limit" in kind else 0.5)
    elif kind == "on grey paper":
        images = (40 + images.float() * 215 / 255).round().byte()
    network = Trained.load(str(WEIGHTS)).network
    assert network.deskew

    expected, _ = network(images)
    torch.testing.assert_close(in_page(browser, network, "float32", images, tmp_path), expected, rtol=0, atol=1e-3)


def test_pixels_are_normalized_as_in_python(browser: Browser, tmp_path: Path) -> None:
    network = PixelClassifier(MLP().requires_grad_(False), mean=0.13, std=0.31)
    images = torch.randint(256, (20, 28, 28), dtype=torch.uint8)
    expected, _ = network(images)
    torch.testing.assert_close(in_page(browser, network, "float32", images, tmp_path), expected, rtol=0, atol=1e-3)


def test_the_smallest_halves_keep_their_values(browser: Browser, tmp_path: Path) -> None:
    biases = torch.tensor([0, 2**-24, 3 * 2**-24, 2**-15, 2**-14, 1e-3, 1.5, -2.25, -(2**-24), 65504])
    mlp = MLP(784, (1,)).requires_grad_(False)
    for values in mlp.parameters():
        torch.nn.init.zeros_(values)
    mlp.get_parameter("linear2.bias").copy_(biases)
    network = PixelClassifier(mlp, 0.0, 1.0)
    blank = torch.zeros(1, 28, 28, dtype=torch.uint8)
    assert torch.equal(in_page(browser, network, "float16", blank, tmp_path)[0], biases.half().float())
