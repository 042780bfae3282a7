"""Whether an exported network answers as its checkpoint does."""

from pathlib import Path
from typing import Any

from torch import Tensor

from src.common.errors import RunError

LARGEST_DIFFERENCE = 1e-4  # of the file's logits and probabilities from the checkpoint's
LARGEST_OF_HALVES = 1e-2  # of those with weights in float16, or, where that is more,
SHARE_OF_HALVES = 1e-3  # of the largest logit, as float16 rounds by a share of the weight


def proof(exported: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor], path: Path, about: dict[str, Any]) -> str:
    """Compare an exported network with its checkpoint, and return what that shows, for people.

    Raises:
        RunError: As ``compare`` does.
    """
    allowed = LARGEST_DIFFERENCE
    if about.get("precision") == "float16":
        allowed = max(LARGEST_OF_HALVES, SHARE_OF_HALVES * float(expected[0].abs().max()))
    difference = compare(exported, expected, path, allowed)
    same = int((exported[0].argmax(dim=1) == expected[0].argmax(dim=1)).sum())
    count = "all" if same == about["samples"] else f"{same:,} of"
    return (
        f"Checked: {count} {about['samples']:,} test images of {about['dataset']} get the answers of "
        f"{about['checkpoint']} (test/acc {about['test/acc']:.4f}), the logits differ by at most {difference:.2g}"
    )


def compare(
    exported: tuple[Tensor, Tensor],
    expected: tuple[Tensor, Tensor],
    path: Path,
    allowed: float = LARGEST_DIFFERENCE,
) -> float:
    """Return the largest difference of logits.

    Args:
        exported: Logits and probabilities of the exported network.
        expected: Those of the checkpoint.
        path: The file, for the message.
        allowed: How much a logit or a probability may differ; with weights in float16, an answer may differ too where
            the checkpoint's two highest logits are closer than that.

    Raises:
        RunError: If an answer differs, or a logit or a probability by more than is allowed.
    """
    first, second = expected[0].topk(2).values.T
    has_answer = first - second > (allowed if allowed > LARGEST_DIFFERENCE else -1)
    others = int(((exported[0].argmax(dim=1) != expected[0].argmax(dim=1)) & has_answer).sum())
    differences = [float((one - other).abs().max()) for one, other in zip(exported, expected, strict=True)]
    if others or not all(difference <= allowed for difference in differences):  # NaN is not
        raise RunError(
            f"{path} was not written: {others:,} of {len(exported[0]):,} test images get another answer from it than "
            f"from the checkpoint, logits differ by up to {differences[0]:.2g}, probabilities by {differences[1]:.2g} "
            f"(allowed: {allowed:g}); try another format (.onnx, .pt2, .html) or, for a page, --precision float32."
        )
    return differences[0]
