"""A file that answers otherwise than the checkpoint, or cannot be made, is not written."""

import copy
import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from src.common.errors import RunError
from src.export import ONNX_PACKAGES
from src.export.comparison import proof
from tests.conftest import Answer
from tests.export.conftest import export
from tests.faults.calls import Fault, always, refusing
from tests.faults.runs import BEST_FILE, huge_weights
from tests.refusals.requests import Request, check, files


def changed_weight(network: Any) -> Any:
    network.network.linear2.bias[3] += 2e-4
    return network


def other_scale(network: Any) -> Any:
    network.std = 2.0
    return network


def not_a_number(network: Any) -> Any:
    network.network.linear2.bias[3] = float("nan")
    return network


def wrong_axis(network: Any) -> Any:
    class WrongAxis(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.right = network

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            logits = self.right(images)[0]
            return logits, logits.softmax(dim=0)

    return WrongAxis()


def swapped_answers(network: Any) -> Any:
    network.network.linear2.bias[:] = network.network.linear2.bias.flip(0) + 1
    network.network.linear2.weight[:] = network.network.linear2.weight.flip(0)
    return network


@pytest.mark.parametrize("spoil", [changed_weight, other_scale, not_a_number, wrong_axis, swapped_answers])
def test_a_wrong_export_leaves_no_file(
    spoil: Any, output: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = torch.export.export
    monkeypatch.setattr(
        torch.export, "export", lambda network, *args, **more: original(spoil(copy.deepcopy(network)), *args, **more)
    )
    before = files(output.parent)

    assert export(trained, output) == 1

    sentences = capsys.readouterr().err.splitlines()
    assert len(sentences) == 1
    assert sentences[0].startswith(f"error: {output} was not written: ")
    assert files(output.parent) == before


def test_another_answer_and_no_number_are_refused() -> None:
    logits = torch.tensor([[1.0, 1.00001]])
    path, about = Path("model.onnx"), {"samples": 1, "dataset": "MNIST", "checkpoint": "best.ckpt", "test/acc": 1.0}
    with pytest.raises(RunError, match=r"1 of 1 test images get another answer"):
        proof((logits, logits.softmax(1)), (logits.flip(1), logits.flip(1).softmax(1)), path, about)
    with pytest.raises(RunError, match=r"0 of 1 .* logits differ by up to nan"):
        proof((torch.tensor([[1.0, torch.nan]]), logits), (logits, logits), path, about)
    assert "all 1 test images" in proof((logits, logits), (logits, logits - 5e-5), path, about)


def test_a_full_disk_leaves_the_file_that_was_there(
    output: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output.write_text("an earlier one")

    monkeypatch.setattr(os, "fsync", Fault(os.fsync, errno.ENOSPC, always))
    assert export(trained, output) == 1
    assert f"error: {output} could not be written: No space left on device" in capsys.readouterr().err
    assert files(output.parent) == {output.name: b"an earlier one"}


def test_without_the_extra_torch_export_works_and_onnx_is_explained(
    output: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] in ONNX_PACKAGES:
            monkeypatch.delitem(sys.modules, name)
    for name in ONNX_PACKAGES:
        monkeypatch.setitem(sys.modules, name, None)  # cannot be imported

    code = export(trained, output)

    if output.suffix == ".pt2":
        assert code == 0
        assert output.exists()
    else:
        says = ("model.onnx needs onnx, onnxscript, onnxruntime", 'pip install ".[export]"', ".pt2")
        check(Answer(code, *capsys.readouterr()), Request("", says))
        assert not output.exists()


@pytest.mark.parametrize("output", [".onnx", ".pt2", ".html"], indirect=True)
def test_a_place_that_may_not_be_written_is_named(
    output: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refusing(monkeypatch, "replace", output.parent)

    check(
        Answer(export(trained, output), *capsys.readouterr()),
        Request("", (f"{output}: Permission denied", "name another place")),
    )


def test_logits_that_are_not_finite_are_a_failure(
    output: Path, tmp_path: Path, own_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    huge_weights(tmp_path / BEST_FILE)
    before = files(tmp_path)

    assert export(own_run, output) == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "best.ckpt answers with logits that are not finite" in sentence
    assert files(tmp_path) == before
