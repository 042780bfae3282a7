"""When a page is not written, or written without its proof."""

import contextlib
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from src.cli.main import main
from src.common.errors import UsageError
from src.export import html
from src.runs.trained import Trained
from tests.chromium import chromium
from tests.conftest import Answer, Cli
from tests.export.conftest import CNN, ONE_EPOCH, export
from tests.faults.runs import WEIGHT, change
from tests.refusals.requests import Request, check, files


@pytest.mark.parametrize("runner", ["node", "nothing", "a browser that does not start", "one that does not end"])
def test_the_proof_takes_what_is_there(
    runner: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node, endless = shutil.which("node"), tmp_path / "endless"
    endless.write_text("#!/bin/sh\nexec sleep 60\n")
    endless.chmod(0o755)
    paths: dict[str, dict[str, str | None]] = {
        "node": {"node": node},
        "nothing": {},
        "a browser that does not start": {"chromium": shutil.which("false")},
        "one that does not end": {"chromium": str(endless)},
    }
    if runner == "node" and not node:
        pytest.skip("without Node")
    if runner == "one that does not end":
        monkeypatch.setattr(html, "SECONDS", 0.1)
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
    change(own_run / "checkpoints" / "best.ckpt", f"{WEIGHT}/0/0", weight)
    before = files(tmp_path)

    with contextlib.chdir(tmp_path):
        code = main(["export", "--ckpt_path", "best", "--output", "digit.html", *words.split()])
    check(Answer(code, *capsys.readouterr()), Request("", says))
    assert files(tmp_path) == before


def test_without_the_page_of_the_server_the_files_that_are_left_are_named(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(html, "PAGE", tmp_path / "page")
    code = export(trained, tmp_path / "digit.html")

    says = (f"--output: an .html file is made of the page in {tmp_path}/page, which is not there: name model.onnx.",)
    check(Answer(code, *capsys.readouterr()), Request("", says))
    assert files(tmp_path) == {}


def test_a_network_that_no_page_runs_is_refused_in_a_sentence(
    trained: Path, cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("fit", *ONE_EPOCH, *CNN).code == 0
    capsys.readouterr()
    says = ("an .html file runs an mlp for images of 28 x 28 pixels", "MNIST", "model.onnx")
    code = export(tmp_path / "lightning_logs" / "version_0", tmp_path / "digit.html")
    check(Answer(code, *capsys.readouterr()), Request("", says))

    network = Trained.load(str(trained)).network
    for shape, dataset in (((32, 32, 3), "CIFAR10"), ((28, 28), "pictures")):
        with pytest.raises(UsageError, match=says[0]):
            html.to_html(network, shape, {"dataset": dataset, "precision": "float16"})
    assert not (tmp_path / "digit.html").exists()
