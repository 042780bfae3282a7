"""TensorBoard as a person sees it: the real server, Chromium without a window, every dashboard."""

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, TimeoutError, expect
from torch.utils.tensorboard import SummaryWriter

from src.cli.main import main
from tests.conftest import REPOSITORY
from tests.inspection import dashboards
from tests.inspection.dashboards import CHECKS, PATIENCE, custom_scalars, scalars


def command(root: Path, *words: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["src.cli"])
        assert main([*words, "--trainer.default_root_dir", str(root), "--trainer.accelerator", "cpu"]) == 0


def fit(root: Path, digits: Path, *flags: str) -> None:
    data = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
    command(root, "fit", *data, "--trainer.max_epochs", "3", *flags)


def serve(root: Path) -> Iterator[str]:
    """Start TensorBoard with the flags of ``make tensorboard`` and yield its address when it has found the runs."""
    makefile = (REPOSITORY / "Makefile").read_text().replace("\\\n", "")
    (words,) = re.findall(r"/tensorboard --logdir lightning_logs --port \S+ (.*)", makefile)
    flags = words.split()
    # port 0: any free one; it says which
    server = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", "--logdir", root / "lightning_logs", "--port", "0", *flags],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = next(line for line in server.stderr if " at http" in line).split(" at ")[1].split()[0]
        runs = len(list((root / "lightning_logs").iterdir()))
        deadline = time.monotonic() + PATIENCE / 1000
        while len(json.load(urllib.request.urlopen(f"{address}data/runs"))) < runs:
            assert time.monotonic() < deadline, "TensorBoard did not find the runs"
            time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.communicate()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """Two runs that differ in lr, the second one tested."""
    root = tmp_path_factory.mktemp("root")
    fit(root, digits)
    fit(root, digits, "--model.lr", "0.01")
    command(root, "test", "--ckpt_path", "best")
    return root


@pytest.fixture(scope="module")
def tensorboard(root: Path) -> Iterator[str]:
    yield from serve(root)


@pytest.fixture(scope="module")
def tensorboard_of_curves(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Iterator[str]:
    """A run that has nothing but its curves."""
    root = tmp_path_factory.mktemp("curves")
    fit(root, digits, "--inspection.enabled", "false", "--data.val_size", "0")
    yield from serve(root)


@pytest.fixture(scope="module")
def tensorboard_of_a_note(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A run that has no curves either."""
    root = tmp_path_factory.mktemp("note")
    with SummaryWriter(str(root / "lightning_logs" / "version_0")) as writer:
        writer.add_text("note", "nothing else")
    yield from serve(root)


def look(browser: Browser, address: str, dashboard: str) -> tuple[Page, list[str]]:
    """Open a dashboard; its errors on the console are collected in the list."""
    page = browser.new_page(viewport={"width": 1600, "height": 1200})
    page.set_default_timeout(PATIENCE)
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}#{dashboard}")
    return page, errors


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_each_dashboard_shows_the_runs_without_an_error(
    browser: Browser, tensorboard: str, check: Callable[[Page], None]
) -> None:
    page, errors = look(browser, tensorboard, check.__name__)
    check(page)
    page.close()

    assert errors == []


def test_the_first_screen_shows_what_was_trained_and_evaluated(browser: Browser, tensorboard: str) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(tensorboard)
    expect(page.locator("card-view").first).to_be_visible(timeout=PATIENCE)
    shown = [(card.inner_text().split("\n")[0], card.bounding_box()) for card in page.locator("card-view").all()]
    page.close()

    assert {group for group, box in shown if box and box["y"] < 900} <= {"test", "train", "val"}


def test_hparams_tells_two_runs_apart(browser: Browser, tensorboard: str, root: Path) -> None:
    page, _ = look(browser, tensorboard, "hparams")
    for number, lr in enumerate((0.001, 0.01)):
        best = json.loads((root / "lightning_logs" / f"version_{number}" / "result.json").read_text())["best"]
        for value in (lr, best["val/acc"], best["val/loss"]):
            shown = page.locator("vaadin-grid-cell-content", has_text=re.compile(rf"^\s*{value:#.5g}\s*$"))
            expect(shown.first).to_be_visible()
    expect(page.locator("tf-hparams-table-view")).not_to_contain_text("hp_metric")
    page.close()


def test_the_checks_notice_when_a_dashboard_is_empty(
    browser: Browser, tensorboard_of_curves: str, tensorboard_of_a_note: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for check in CHECKS:
        empty = tensorboard_of_a_note if check in (scalars, custom_scalars) else tensorboard_of_curves
        page, _ = look(browser, empty, check.__name__)
        selected = page.locator("plugin-selector mat-form-field")  # the list of what has no data
        expect(selected).to_contain_text(re.compile(check.__name__.replace("_", " "), re.IGNORECASE))
        with monkeypatch.context() as patch:
            patch.setattr(dashboards, "PATIENCE", 300)
            expect.set_options(timeout=300)
            page.set_default_timeout(300)
            with pytest.raises((AssertionError, TimeoutError)):
                check(page)
            expect.set_options(timeout=PATIENCE)
        page.close()
