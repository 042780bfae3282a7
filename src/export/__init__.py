"""A trained network for other programs: ``python -m src.cli export``."""

import os
import platform
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from src.common.errors import UsageError
from src.common.files import refuse_place, sha256, write_atomic
from src.common.output import say
from src.data.batches import Split
from src.export.comparison import proof
from src.export.formats import Network, open_onnx, open_pt2, to_onnx, to_pt2
from src.export.html import UnprovenError, open_html, to_html
from src.export.hub import open_hub, refuse_folder, result_of, to_hub, training
from src.runs.trained import Trained, answers

ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
PACKAGES = {".onnx": ONNX_PACKAGES, "/": ("safetensors",)}
FORMATS = {".onnx": (to_onnx, open_onnx), ".pt2": (to_pt2, open_pt2), ".html": (to_html, open_html)}


def export(
    output: str,
    ckpt_path: str | None = None,
    data_dir: str | None = None,
    network: nn.Module | None = None,
    precision: Literal["float16", "float32"] | None = None,
) -> int:
    """Write a trained network as an ONNX file, a torch.export program or a page, checked on all test images.

    A page, NAME.html, is the page of ``serve`` with the network in it: one file that needs no server. Any other file's
    input is ``images``, uint8 ``(N, 28, 28)`` or, in colour, ``(N, H, W, 3)``, upright, 0 = background; the file
    normalizes them itself. Its outputs are ``logits`` and ``probabilities``, float32 ``(N, classes)``. The file is
    written only if all test images of the checkpoint's data set get the checkpoint's answers from it; with weights in
    float16 the logits may differ a little. A page that nothing on this machine can run is written unchecked. Example:
    python -m src.cli export --output digits.onnx

    Args:
        output: The file to write: NAME.onnx (ONNX), NAME.pt2 (torch.export) or NAME.html (a page); or NAME/, a folder
            for the Hugging Face Hub with safetensors, a config and a model card. An earlier file is replaced.
        ckpt_path: A checkpoint file, a run folder (its best checkpoint), or best or last of the newest run that has
            one. Left out, it is best, or before the first run the network that comes with the project.
        data_dir: The folder with the data, if it is no longer where the run read it.
        network: The class of a network of your own, by its import path, with its arguments below it.
        precision: The precision of a page's weights: float16, the default, or float32 for twice the size.

    Raises:
        UsageError: If there is no such checkpoint, no test image, no such format or no place for the file.
        RunError: If the file would give other answers than the checkpoint, or the checkpoint's logits are not finite.
        OSError: If the file cannot be written; it is then missing or unchanged.
    """
    path = Path(output)
    ending = path.suffix.lower()
    if output.endswith(("/", os.sep)) or (path.is_dir() and ending not in FORMATS):
        ending = "/"
        refuse_folder(path)
    else:
        refuse_place("output", path, *FORMATS, "/ (a folder for the Hugging Face Hub)")
    if missing := [name for name in PACKAGES.get(ending, ()) if find_spec(name) is None]:
        raise UsageError(
            f'--output {path} needs {", ".join(missing)}: pip install ".[export]", or name a .pt2 file, which does not.'
        )
    is_page = ending == ".html"
    if precision and not is_page:
        raise UsageError(f"--precision {precision} is for the weights of an .html file: leave it out.")
    trained = Trained.load(ckpt_path, network=network)
    test, files = read_test_data(trained, data_dir)
    expected = answers(trained.answer, test)
    metadata = describe(trained, test, files, expected[0])
    if is_page:
        metadata["precision"] = precision or "float16"
    if ending == "/":
        parts = to_hub(trained.network, trained.image_shape, metadata | {"training": training(trained)})
        contents = {path / name: part for name, part in parts.items()}
        exported: Network = open_hub(parts)
    else:
        serialize, load = FORMATS[ending]
        contents = {path: serialize(trained.network, trained.image_shape, metadata)}
        exported = load(contents[path])
    try:
        checked = proof(answers(exported, test), expected, path, metadata)
    except UnprovenError as error:
        checked = f"Not checked: {error}"
    for name, content in contents.items():
        write_atomic(name, content)
    takes = ", ".join(map(str, trained.image_shape))
    kind = "a page" if is_page else f"images (N, {takes}) -> logits, probabilities (N, {len(trained.classes)})"
    say(f"{path}: {sum(map(len, contents.values())):,} bytes, {kind}\n{checked}")
    return 0


def read_test_data(trained: Trained, data_dir: str | None) -> tuple[Split, list[Path]]:
    """Return the test images of a checkpoint's data set, and its files, in a folder or where ``test`` finds them."""
    try:
        located = trained.locate(data_dir)
        return located.read("test"), located.files
    except UsageError as error:
        raise UsageError(f"an export is checked with the test images: {error}") from error


def describe(trained: Trained, test: Split, files: list[Path], logits: Tensor) -> dict[str, Any]:
    """Return the metadata of an exported file, for JSON; ``logits`` are the answers to the test images."""
    takes = ", ".join(map(str, trained.image_shape))
    correct = int((logits.argmax(dim=1) == test.labels).sum())
    return {
        "model": trained.name,
        "description": f"A classifier for {trained.dataset}: images, uint8 (N, {takes}), upright, 0 = background.",
        "classes": list(trained.classes),
        "normalization": {"mean": trained.network.mean, "std": trained.network.std},  # of pixel / 255, in the file
        "deskew": trained.network.deskew,  # in the file too
        "network": trained.recipe["model"]["network"],
        "hidden_units": trained.recipe["model"]["hidden_units"],
        "dataset": trained.dataset,
        "data_sha256": digests(trained, files),
        "test/acc": correct / len(test.labels),
        "samples": len(test.labels),
        "correct": correct,
        "checkpoint": str(trained.checkpoint),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("torch", "lightning")}},
    }


def digests(trained: Trained, files: list[Path]) -> dict[str, str]:
    """Return the SHA-256 of the data's files by name, as the run recorded them, or else as they are now."""
    recorded = result_of(trained)["data"].get("sha256")
    if isinstance(recorded, dict):
        return {Path(path).name: str(digest) for path, digest in recorded.items()}
    return {path.name: sha256(path) for path in files}
