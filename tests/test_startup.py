"""The commands that use a network start without what trains one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.predict.conftest import draw

pytestmark = pytest.mark.slow

TRAINING = ("lightning", "torchmetrics", "torchvision", "tensorboard", "src.cli.fit", "src.data.datamodule")
FIT = """
import sys
import src.cli.fit
print("imported:", *({"matplotlib", "scipy", "torchvision"} & set(sys.modules)))

import matplotlib, scipy, torchvision  # they are there all the same
from lightning_utilities.core.imports import RequirementCache, package_available
assert package_available("scipy") and RequirementCache("torchvision")
"""
CODE = f"""
import sys
import uvicorn
from src.cli.main import main

uvicorn.Server.run = lambda *_: None
assert main(sys.argv[1:]) == 0
unwanted = {TRAINING} + (() if sys.argv[1] == "export" else ("torch._dynamo",))  # torch's compiler takes a second
print("imported:", *(name for name in unwanted if name in sys.modules))
"""


@pytest.mark.parametrize(
    "words",
    [
        "predict --images one.png --output table.csv --sheet saw.png",
        "export --output network.pt2",
        "export --output network.onnx",
        "serve --port 0",
    ],
)
def test_nothing_that_trains_is_imported(words: str, trained: Path, tmp_path: Path) -> None:
    draw(tmp_path / "one.png")
    done = subprocess.run(
        [sys.executable, "-c", CODE, *words.split(), "--ckpt_path", str(trained)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "imported:"


def test_what_a_notebook_has_imported_before_is_no_obstacle() -> None:
    code = "import matplotlib.pyplot, scipy, torchvision, src.cli.fit"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=300)

    assert (done.returncode, done.stderr) == (0, "")


def test_what_only_torchmetrics_would_use_is_not_imported_for_it() -> None:
    done = subprocess.run([sys.executable, "-c", FIT], cwd=REPOSITORY, capture_output=True, text=True, timeout=300)

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "imported:\n")
