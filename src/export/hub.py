"""A network as a folder for the Hugging Face Hub: its weights as safetensors, its config, and a model card."""

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import yaml

from src.common.errors import UsageError
from src.common.files import read_object
from src.model.networks import build_network
from src.runs.folder import Run
from src.runs.trained import PixelClassifier, Trained

WEIGHTS, CONFIG, CARD = NAMES = ("model.safetensors", "config.json", "README.md")
PLACES = ("checkpoint", "data_dir", "memory_map", "teacher")  # of this machine, left out of a folder for others
RECORDS = ("parameters", "best", "total_seconds", "versions", "git_commit")


def refuse_folder(path: Path) -> None:
    """Refuse to write over a file, or into a folder that no export made, whose README.md would be lost."""
    names = {file.name for file in path.iterdir() if file.name[0] != "."} if path.is_dir() else {path.name}
    if path.exists() and names and not {CONFIG} <= names <= {*NAMES}:
        raise UsageError(
            f"--output {path} exists and is not a folder of an export: name a new folder or a file, such as "
            f"{path / 'digits.onnx'}."
        )


def to_hub(network: PixelClassifier, image_shape: tuple[int, ...], metadata: dict[str, Any]) -> dict[str, bytes]:
    """Return the files of a folder by name."""
    from safetensors.torch import save  # in an extra

    if not isinstance(metadata["network"], str):
        raise UsageError("--output: a folder is for an mlp or a cnn; for a network of your own name model.onnx.")
    about = without_places(metadata) | {"image_shape": image_shape}
    weights = {name: values.contiguous() for name, values in network.network.state_dict().items()}
    return {WEIGHTS: save(weights), CONFIG: json.dumps(about, indent=1).encode(), CARD: card(about).encode()}


def open_hub(files: Mapping[str, bytes]) -> PixelClassifier:
    """Return the network of a folder's files."""
    from safetensors.torch import load

    about = json.loads(files[CONFIG])
    sizes = about["hidden_units"], len(about["classes"])
    network = build_network(about["network"], *sizes, image_shape=about["image_shape"])
    network.load_state_dict(load(files[WEIGHTS]))
    return PixelClassifier(network, **about["normalization"], deskew=about["deskew"]).eval().requires_grad_(False)


def load_folder(folder: str | Path) -> PixelClassifier:
    """Return the network in a folder: it takes images, uint8 ``(N, H, W[, C])``, and gives logits and probabilities."""
    return open_hub({name: Path(folder, name).read_bytes() for name in (WEIGHTS, CONFIG)})


def result_of(trained: Trained) -> dict[str, Any]:
    """Return the result.json of a checkpoint's run, without entries for a killed run or a copied checkpoint."""
    try:
        return read_object(Run.of_checkpoint(trained.checkpoint).path / "result.json", data=dict)
    except (OSError, ValueError):
        return {"data": {}}


def training(trained: Trained) -> dict[str, Any]:
    """Return how a network was trained, as its checkpoint and its run recorded it."""
    result, settings = result_of(trained), trained.recipe
    if not (settings.get("distillation") or {}).get("teacher"):
        settings = {name: value for name, value in settings.items() if name != "distillation"}
    return {**settings, **{name: result.get(name) for name in RECORDS}, "images": result["data"].get("split")}


def without_places(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that have a value, without files and folders."""
    return {
        name: without_places(value) if isinstance(value, dict) else value
        for name, value in settings.items()
        if value is not None and name not in PLACES
    }


def card(about: dict[str, Any]) -> str:
    """Return the model card for the content of a config."""
    result = {
        "task": {"type": "image-classification"},
        "dataset": {"name": about["dataset"], "type": about["dataset"]},
        "metrics": [{"type": "accuracy", "name": "test/acc", "value": about["test/acc"]}],
    }
    head = {"pipeline_tag": "image-classification", "model-index": [{"name": about["model"], "results": [result]}]}
    return Template(Path(__file__).with_name("card.md").read_text("utf-8")).substitute(
        about,
        head=yaml.safe_dump(head, sort_keys=False),
        read=f"{about['correct']:,} of the {about['samples']:,} test images right: {about['test/acc']:.2%}",
        training=yaml.safe_dump(about["training"], sort_keys=False),
        digests="\n".join(f"| {name} | `{value}` |" for name, value in about["data_sha256"].items()),
        shape=", ".join(map(str, about["image_shape"])),
    )
