"""A trained network for other programs: ``python -m src.cli export``."""

import platform
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from src.common.errors import RunError, UsageError
from src.common.files import read_object, refuse_place, sha256, write_atomic
from src.common.output import say
from src.data.batches import Split
from src.data.datasets import DatasetName
from src.data.located import TEST_SIZE, locate, shown
from src.export.formats import FORMATS, Network
from src.runs.folder import Run
from src.runs.trained import Trained

AT_ONCE = 4_000  # images
LARGEST_DIFFERENCE = 1e-4  # of the file's logits and probabilities from the checkpoint's
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def export(ckpt_path: str, output: str, data_dir: str | None = None, network: nn.Module | None = None) -> int:
    """Write a trained network as an ONNX file or a torch.export program, checked on all test images.

    The file's input is ``images``, uint8 ``(N, 28, 28)`` or, in colour, ``(N, H, W, 3)``, upright, 0 = background; the
    normalization is inside. Its outputs are ``logits`` and ``probabilities``, float32 ``(N, classes)``. It is written
    when all test images of the checkpoint's data set get the same answers from it as from the checkpoint, and not at
    all otherwise.

    Args:
        ckpt_path: A checkpoint file, a run folder (its best checkpoint), or best or last of the newest run that has
            one.
        output: The file to write: NAME.onnx (ONNX) or NAME.pt2 (torch.export). One that is there is replaced.
        data_dir: The folder with the data, if it is no longer where the run read it.
        network: The class of a network of your own, by its import path, with its arguments below it.

    Returns:
        The exit code.

    Raises:
        UsageError: If there is no such checkpoint, no test image, no such format or no place for the file.
        RunError: If the file would give other answers than the checkpoint, or the checkpoint's logits are not finite.
        OSError: If the file cannot be written; it is then not there, or as it was.
    """
    path = Path(output)
    refuse_place("output", path, *FORMATS)
    refuse_without_packages(path)
    trained = Trained.load(ckpt_path, network=network)
    test, files = read_test_data(trained, data_dir)
    expected = answers(trained.answer, test)
    metadata = describe(trained, test, files, expected[0])
    serialize, load = FORMATS[path.suffix.lower()]
    content = serialize(trained.network, trained.image_shape, metadata)
    difference = compare(answers(load(content), test), expected, path)
    write_atomic(path, content)
    takes = ", ".join(map(str, trained.image_shape))
    say(f"{path}: {len(content):,} bytes, images (N, {takes}) -> logits, probabilities (N, {len(trained.classes)})")
    say(
        f"Checked: all {metadata['samples']:,} test images of {metadata['dataset']} get the answers of "
        f"{trained.checkpoint} (test/acc {metadata['test/acc']:.4f}), the logits differ by at most {difference:.2g}"
    )
    return 0


def refuse_without_packages(path: Path) -> None:
    """Refuse a file whose kind needs packages that are missing.

    Raises:
        UsageError: If they are.
    """
    missing = [name for name in ONNX_PACKAGES if path.suffix.lower() == ".onnx" and find_spec(name) is None]
    if missing:
        raise UsageError(
            f'--output {path} needs {", ".join(missing)}: pip install ".[export]", or name a .pt2 file, which does not.'
        )


def read_test_data(trained: Trained, data_dir: str | None) -> tuple[Split, list[Path]]:
    """Return the test images of a checkpoint's data set, and its four files: where ``test`` finds them or in a folder.

    Raises:
        UsageError: If they are not there, or damaged.
    """
    match trained.recipe.get("data"):
        case {"dataset": str(name), "data_dir": str() | None as folder} if name in get_args(DatasetName):
            dataset: DatasetName = name  # type: ignore[assignment]
            folder = data_dir or folder
        case _:
            raise UsageError(f"{trained.checkpoint} does not say which data set it was trained on: name another.")
    if folder and not Path(folder).is_dir():
        raise UsageError(
            f"an export is checked with the test images, and {folder} is not there: name their --data_dir."
        )
    try:
        test_size = trained.recipe["data"].get("test_size", TEST_SIZE)
        located = locate(dataset, folder, trained.image_shape[:2], test_size)
        if located.image_shape != trained.image_shape:
            raise UsageError(f"they are {shown(located.image_shape)}, the network takes {shown(trained.image_shape)}.")
        return located.read("test"), located.files
    except UsageError as error:
        raise UsageError(f"an export is checked with the test images: {error}") from error


def answers(network: Network, test: Split) -> tuple[Tensor, Tensor]:
    """Return a network's logits and probabilities for the test images, each ``(N, classes)`` float32."""
    starts = range(0, len(test.labels), AT_ONCE)
    logits, probabilities = zip(
        *(network(test.upright(slice(start, start + AT_ONCE))) for start in starts), strict=True
    )
    return torch.cat(logits), torch.cat(probabilities)


def describe(trained: Trained, test: Split, files: list[Path], logits: Tensor) -> dict[str, Any]:
    """Return what an exported file says of itself, for JSON; ``logits`` is what it says to the test images."""
    dataset, model = (trained.recipe[part] for part in ("data", "model"))
    takes = ", ".join(map(str, trained.image_shape))
    correct = int((logits.argmax(dim=1) == test.labels).sum())
    return {
        "description": f"A classifier for {dataset['dataset']}: images, uint8 (N, {takes}), upright, 0 = background.",
        "classes": list(trained.classes),
        "normalization": {"mean": trained.network.mean, "std": trained.network.std},  # of pixel / 255, done inside
        "deskew": trained.network.deskew,  # done inside too
        "network": model["network"],
        "hidden_units": model["hidden_units"],
        "dataset": dataset["dataset"],
        "data_sha256": digests(trained, files),
        "test/acc": correct / len(test.labels),
        "samples": len(test.labels),
        "correct": correct,
        "checkpoint": str(trained.checkpoint),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("torch", "lightning")}},
    }


def digests(trained: Trained, files: list[Path]) -> dict[str, str]:
    """Return the SHA-256 of the data's files by name, as the run recorded them, or else as they are now."""
    try:
        result = read_object(Run.of_checkpoint(trained.checkpoint).path / "result.json", data=dict)
        return {Path(path).name: str(digest) for path, digest in result["data"]["sha256"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # of a killed run, or a copied checkpoint
        return {path.name: sha256(path) for path in files}


def compare(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor], path: Path) -> float:
    """Return the largest difference of logits.

    Args:
        found: Logits and probabilities of the exported network.
        expected: Those of the checkpoint.
        path: The file, for the message.

    Raises:
        RunError: If an answer differs, or a logit or a probability by more than ``LARGEST_DIFFERENCE``.
    """
    others = int((found[0].argmax(dim=1) != expected[0].argmax(dim=1)).sum())
    differences = [float((ours - theirs).abs().max()) for ours, theirs in zip(found, expected, strict=True)]
    if others or not all(difference <= LARGEST_DIFFERENCE for difference in differences):  # NaN is not
        raise RunError(
            f"{path} was not written: {others:,} of {len(found[0]):,} test images get another answer from it than from "
            f"the checkpoint, logits differ by up to {differences[0]:.2g}, probabilities by {differences[1]:.2g} "
            f"(allowed: {LARGEST_DIFFERENCE:g}); try the other format (.onnx, .pt2)."
        )
    return differences[0]
