"""The check that an exported network answers as its checkpoint does."""

from pathlib import Path
from typing import Any

from torch import Tensor

from src.common.errors import RunError

LARGEST_DIFFERENCE = 1e-4  # between the file's logits and probabilities and the checkpoint's
LARGEST_OF_HALVES = 1e-2  # the same difference with weights in float16 or, if larger,
SHARE_OF_HALVES = 1e-3  # this share of the largest logit, as float16 rounds by a share of the weight


def proof(exported: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor], path: Path, about: dict[str, Any]) -> str:
    """Check that an exported network answers as its checkpoint does, and return the sentence that says so.

    Args:
        exported: Logits and probabilities of the exported network.
        expected: Logits and probabilities of the checkpoint.
        path: The file, for the message.
        about: The file's metadata.

    Raises:
        RunError: If an answer differs, or a logit or a probability by more than is allowed. With weights in float16 an
            answer may differ where the checkpoint's two highest logits are closer than the allowed difference.
    """
    wrong = differs = exported[0].argmax(dim=1) != expected[0].argmax(dim=1)
    allowed = LARGEST_DIFFERENCE
    if about.get("precision") == "float16":
        allowed = max(LARGEST_OF_HALVES, SHARE_OF_HALVES * float(expected[0].abs().max()))
        first, second = expected[0].topk(2).values.T
        wrong = differs & (first - second > allowed)
    logits, probabilities = (float((one - other).abs().max()) for one, other in zip(exported, expected, strict=True))
    if wrong.any() or not (logits <= allowed and probabilities <= allowed):  # NaN is not
        raise RunError(
            f"{path} was not written: {int(wrong.sum()):,} of {len(wrong):,} test images get another answer from it "
            f"than from the checkpoint, logits differ by up to {logits:.2g}, probabilities by {probabilities:.2g} "
            f"(allowed: {allowed:g}); try another format (.onnx, .pt2, .html) or, for a page, --precision float32."
        )
    count = f"{int((~differs).sum()):,} of" if differs.any() else "all"
    return (
        f"Checked: {count} {about['samples']:,} test images of {about['dataset']} get the answers of "
        f"{about['checkpoint']} (test/acc {about['test/acc']:.4f}), the logits differ by at most {logits:.2g}"
    )
