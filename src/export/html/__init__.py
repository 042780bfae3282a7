"""The page of ``serve`` with the network in it: one file for any browser, without a server."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from src.common.errors import RunError, UsageError
from src.data.datasets import DATASETS
from src.export.formats import Network
from src.model.mlp import MLP
from src.runs.trained import PixelClassifier

HERE = Path(__file__).parent
PAGE = Path(__file__).parents[2] / "serve" / "page"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "microsoft-edge")
SECONDS = 120
CSP = (
    "default-src 'none'; script-src {scripts}; style-src {style}; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


class UnprovenError(RunError):
    """No program on this machine runs a page."""


def to_html(network: PixelClassifier, image_shape: tuple[int, ...], metadata: dict[str, Any]) -> bytes:
    """Return the content of an HTML file, with the weights in the precision that the metadata names."""
    if not isinstance(network.network, MLP) or image_shape != (28, 28) or metadata["dataset"] not in DATASETS:
        raise UsageError(
            "--output: an .html file runs an mlp for images of 28 x 28 pixels in grey, of MNIST or a data set like it; "
            "for any other name model.onnx."
        )
    if not PAGE.is_dir():
        raise UsageError(f"--output: an .html file is made of the page in {PAGE}, which is not there: name model.onnx.")
    layers = [layer for layer in network.network if isinstance(layer, nn.Linear)]
    precision = getattr(torch, metadata["precision"])
    weights = torch.cat([values.flatten() for layer in layers for values in (layer.weight, layer.bias)]).to(precision)
    if not weights.isfinite().all():
        raise UsageError("--precision float16 has no room for weights above 65,504: name --precision float32.")
    about = metadata | {"layers": [[layer.in_features, layer.out_features] for layer in layers]}
    scripts = [*sorted((HERE / "digits").glob("*.js")), HERE / "deskew.js", HERE / "network.js", HERE / "page.js"]
    reader = "\n".join(script.read_text("utf-8") for script in scripts)
    return write_page(reader, json.dumps(about).replace("<", "\\u003c"), encode(weights.numpy().tobytes()), metadata)


def write_page(reader: str, about: str, weights: str, metadata: dict[str, Any]) -> bytes:
    """Return the page of ``serve`` with all its parts, the reader, the weights and the metadata inside."""
    html = (PAGE / "index.html").read_text("utf-8")
    linked = re.compile(r'<script src="page/(.+)" defer></script>\n')
    parts = [(PAGE / name).read_text("utf-8") for name in linked.findall(html) if name != "server.js"]
    page, style = "\n".join(parts).replace('"use strict";\n', ""), (PAGE / "draw.css").read_text("utf-8")
    scripts = f"{digest(reader)} {digest(page)}"
    policy = f'<meta http-equiv="Content-Security-Policy" content="{CSP.format(scripts=scripts, style=digest(style))}">'
    icon = encode((PAGE / "icon.svg").read_bytes())
    digests = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in metadata["data_sha256"].items())
    model = f"{metadata['model']}: {metadata['test/acc']:.2%} of {metadata['dataset']}'s test images are read right"
    html = linked.sub("", html)
    for old, new in {
        '<meta charset="utf-8">': f'<meta charset="utf-8">\n{policy}',
        "page/icon.svg": f"data:image/svg+xml;base64,{icon}",
        '<link rel="stylesheet" href="page/draw.css">': f"<style>{style}</style>",
        '<span id="model"></span>': f'<span id="model">{escape(model)}</span>',
        '<a href="docs">API</a>': f"<details><summary>SHA-256 of the data</summary><dl>{digests}</dl></details>",
        "</html>": f'<script type="application/json" id="about">{about}</script>\n'
        f'<script type="text/plain" id="weights">{weights}</script>\n'
        f'<script type="module" id="reader">{reader}</script>\n<script type="module">{page}</script>\n</html>',
    }.items():
        assert html.count(old) == 1, f"index.html has no {old}, or several"
        html = html.replace(old, new)
    return html.encode()


def encode(content: bytes) -> str:
    """Return bytes as base64."""
    return base64.b64encode(content).decode()


def digest(text: str) -> str:
    """Return the hash by which a Content-Security-Policy allows a script or a style that is part of the page."""
    return f"'sha256-{encode(hashlib.sha256(text.encode()).digest())}'"


def open_html(content: bytes) -> Network:
    """Return the network of an HTML file, run by a browser or, where there is none, by Node."""

    def run(images: Tensor) -> tuple[Tensor, Tensor]:
        check = (HERE / "check.js").read_text("utf-8")
        more = f'<script type="text/plain" id="images">{encode(images.numpy().tobytes())}</script>\n'
        more += f'<script type="module" id="check">{check}</script>\n</html>'
        html = content.replace(b"script-src ", f"script-src {digest(check)} ".encode(), 1)
        html = html.replace(b"</html>", more.encode())
        logits = torch.frombuffer(bytearray(base64.b64decode(run_page(html))), dtype=torch.float32)
        logits = logits.reshape(len(images), -1)
        return logits, logits.softmax(dim=1)

    return run


def run_page(html: bytes) -> str:
    """Load a page, and return the text that the page then puts in its own place.

    Raises:
        UnprovenError: If no program on this machine runs the page.
    """
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page = Path(folder) / "digit.html"
        page.write_bytes(html)
        browser = ["--headless", "--disable-gpu", f"--user-data-dir={folder}/profile", "--dump-dom", page.as_uri()]
        if getattr(os, "geteuid", lambda: 1)() == 0:
            browser.insert(0, "--no-sandbox")  # else it does not start as root
        commands = dict.fromkeys(BROWSERS, browser) | {"node": [str(HERE / "node.cjs"), str(page)]}
        for name, words in commands.items():
            if path := shutil.which(name):
                try:
                    done = subprocess.run([path, *words], capture_output=True, text=True, timeout=SECONDS)
                except (OSError, subprocess.TimeoutExpired):  # this browser may not start here
                    continue
                if answer := re.search(r"<html[^>]*>([A-Za-z0-9+/=]+)</html>", done.stdout):
                    return answer[1]
    raise UnprovenError(f"nothing here runs a page: none of {', '.join(commands)}.")
