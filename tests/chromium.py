"""Chromium, and a server for it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[1]
CHROMIUM = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    message = "Nothing is looked at in a browser without Chromium: apt-get install chromium"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def serving(checkpoint: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run ``src.cli serve`` on a free port; give its process and its address."""
    command = [sys.executable, "-m", "src.cli", "serve", "--ckpt_path", str(checkpoint), "--port", "0"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=REPOSITORY, text=True, **pipes) as server:
        try:
            yield server, next(line for line in server.stdout if line.startswith("Draw on")).split()[2]
        finally:
            server.kill()
