"""Pictures to send, a client of the application in this process, and servers of their own."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw

from src.runs.trained import Trained
from src.serve import app
from tests.conftest import REPOSITORY

Address = tuple[str, int]
Server = tuple[subprocess.Popen[str], Address]

HOME = "http://localhost"
PNG = {"Content-Type": "image/png"}


def drawing(size: tuple[int, int] = (280, 280)) -> Image.Image:
    """A seven in black on white."""
    image = Image.new("L", size, 255)
    corners = [(size[0] * x, size[1] * y) for x, y in ((0.3, 0.25), (0.7, 0.25), (0.45, 0.8))]
    ImageDraw.Draw(image).line(corners, fill=0, width=max(size) // 14)
    return image


@pytest.fixture(scope="module")
def network(trained: Path) -> Trained:
    return Trained.load(str(trained))


@pytest.fixture(scope="module")
def client(network: Trained) -> Iterator[TestClient]:
    with TestClient(app.create_app(network, ["0.0.0.0", "digits.lan"]), HOME) as client:
        yield client


@contextmanager
def serving(checkpoint: Path, before: str = "", files: int = 0) -> Iterator[Server]:
    """Run the server after some Python, with so many open files; give its process and its address."""
    words = ["serve", "--ckpt_path", str(checkpoint), "--port", "0"]
    code = f"from src.serve import app, connections, limits\n{before}\nimport runpy, sys\nsys.argv[1:] = {words}\n"
    code += "runpy.run_module('src.cli', run_name='__main__')"
    if files:
        code = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))\n{code}"
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, text=True, **pipes) as server:
        try:
            url = next(line for line in server.stdout if line.startswith("Draw on")).split()[2]
            host, port = url.removeprefix("http://").rstrip("/").split(":")
            yield server, (host, int(port))
        finally:
            server.kill()


def is_well(address: Address) -> bool:
    with urllib.request.urlopen("http://{}:{}/health".format(*address), timeout=5) as answer:
        return bool(json.load(answer)["status"] == "ok")
