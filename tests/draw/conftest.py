"""A visit to the page of a real server with a real network, in Chromium without a window."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.chromium import serving
from tests.draw.page import Visit


@pytest.fixture(scope="session")
def address(mnist_run: Path) -> Iterator[str]:
    with serving(mnist_run) as (_, address):
        yield address


@pytest.fixture
def visit(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    context = browser.new_context(**getattr(request, "param", {"viewport": {"width": 1100, "height": 760}}))
    visit = Visit(context.new_page(), address)
    visit.page.on("console", lambda message: visit.errors.append(message.text))
    visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
    visit.page.on("request", lambda request: visit.requests.append(request.url))
    visit.page.goto(address)
    yield visit
    context.close()
    assert visit.errors == []
    assert [url for url in visit.requests if not url.startswith((address, "data:"))] == []
