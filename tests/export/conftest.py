"""Ways to export a checkpoint and to use the file."""

import json
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor

from src.cli.main import main

ONE_EPOCH = ("--trainer.max_epochs", "1", "--inspection.enabled", "false")
CNN = ("--model.network", "cnn", "--model.hidden_units", "[8]")


def run_file(path: Path, images: Tensor) -> tuple[Tensor, Tensor]:
    """Use an exported file as its README examples do."""
    if path.suffix == ".pt2":
        logits, probabilities = torch.export.load(path).module()(images)
        return logits, probabilities
    logits, probabilities = onnxruntime.InferenceSession(path).run(None, {"images": images.numpy()})
    return torch.from_numpy(logits), torch.from_numpy(probabilities)


def metadata_of(path: Path) -> dict[str, Any]:
    if path.suffix == ".pt2":
        extra = {"metadata.json": ""}
        torch.export.load(path, extra_files=extra)
        return dict(json.loads(extra["metadata.json"]))
    texts = ("description", "model", "network", "dataset", "checkpoint")
    properties = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    return {name: value if name in texts else json.loads(value) for name, value in properties.items()}


@pytest.fixture(params=[".onnx", ".pt2"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"model{request.param}"


def export(checkpoint: Path | str, output: Path | str, *words: str) -> int:
    return main(["export", "--ckpt_path", str(checkpoint), "--output", str(output), *words])
