"""What a network's answers are worth, and its confidence in them. A part of ``benchmarks/generalization.py``."""

from math import inf
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from benchmarks.others import Pictures
from src.data.deskew import deskew
from src.data.splits import normalize
from src.inspection.findings import Predictions, calibration_error
from src.runs.trained import Trained

Record = dict[str, Any]

AT_ONCE = 2_000  # images
RIGHT = (0.995, 0.999, 0.9999)  # of the answers that are kept
SURE = 0.99  # of validation's right answers are above the confidence of an answer that is sure
ATTACKED = 10  # every tenth image: the first ones are harder than the others
STEPS, EPS, STEP = 20, 0.05, 0.01  # the last two in pixels from 0 to 1


@torch.no_grad()
def answers(trained: Trained, images: Tensor, labels: Tensor) -> Predictions:
    """Return what a network makes of images ``(N, 28, 28)`` uint8."""
    logits = torch.cat([trained.answer(some)[0] for some in images.split(AT_ONCE)])
    return Predictions(logits.double().softmax(dim=1), labels, torch.arange(len(labels)))


def keeping(validation: Predictions, right: float) -> float:
    """Return the lowest confidence from which on so many of validation's answers are right."""
    confidence, order = validation.confidence.sort(descending=True)
    share = validation.right[order].double().cumsum(dim=0) / torch.arange(1, len(order) + 1)
    ends = torch.cat([confidence[1:] < confidence[:-1], torch.tensor([True])])  # equal ones are kept together
    fitting = (ends & (share >= right)).nonzero()
    return float(confidence[fitting[-1]]) if len(fitting) else inf


def sure_from(validation: Predictions) -> float:
    """Return the confidence that so many of validation's right answers have."""
    confidence = validation.confidence[validation.right].sort(descending=True).values
    return float(confidence[int(SURE * len(confidence)) - 1])


def kept(predictions: Predictions, threshold: float) -> tuple[float, float]:
    """Return the share of answers that are kept, and of them the share that is right (1 if there is none)."""
    is_kept = predictions.confidence >= threshold
    right = predictions.right[is_kept].double()
    return float(is_kept.double().mean()), float(right.mean()) if len(right) else 1.0


def attacked(trained: Trained, images: Tensor, labels: Tensor) -> float:
    """Return the accuracy under projected gradient descent (Madry et al. 2018) from a random start.

    It changes the pixels that the network gets: of one that sets digits upright, those of the upright ones.
    """
    net = trained.network
    images, labels = images[::ATTACKED], labels[::ATTACKED]
    images = (deskew(images) if net.deskew else images).float() / 255
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    moved = (images + EPS * (2 * noise - 1)).clamp(0, 1)
    for _ in range(STEPS):
        moved.requires_grad_()
        logits = net.network(normalize(255 * moved, net.mean, net.std))
        (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, labels), moved)
        moved = moved.detach() + STEP * slope.sign()
        moved = moved.clamp(images - EPS, images + EPS).clamp(0, 1)
    right = net.network(normalize(255 * moved, net.mean, net.std)).argmax(dim=1) == labels
    return float(right.double().mean())


def on_corruptions(trained: Trained, spoiled: dict[str, Pictures]) -> Record:
    """Return the share of wrong answers and the calibration error on each corruption, and their means."""
    record: Record = {}
    for name, some in spoiled.items():
        assert some.raw is not None
        raw, seen = answers(trained, some.raw, some.labels), answers(trained, some.seen, some.seen_labels)
        record[f"raw/{name}"] = 1 - float(raw.right.double().mean())
        record[f"seen/{name}"] = 1 - float((seen.right & some.is_read).double().mean())
        record[f"calibration/raw/{name}"] = calibration_error(raw)
        record[f"calibration/seen/{name}"] = calibration_error(Predictions(*(part[some.is_read] for part in seen)))
    kinds = ("raw", "seen", "calibration/raw", "calibration/seen")
    return record | {kind: mean(record[f"{kind}/{name}"] for name in spoiled) for kind in kinds}


def on_others(trained: Trained, digits: dict[str, Pictures]) -> Record:
    """Return the share of right answers on other people's digits, as ``predict`` reads what has not MNIST's size."""
    record: Record = {}
    for name, some in digits.items():
        if some.raw is not None:
            right = answers(trained, some.raw, some.labels).right
        else:
            right = answers(trained, some.seen, some.seen_labels).right & some.is_read
        record[name] = float(right.double().mean())
    return record


def on_nonsense(trained: Trained, nonsense: dict[str, Pictures], threshold: float) -> Record:
    """Return the share of pictures without a digit on which the network is sure, raw and as ``predict`` reads them."""
    record: Record = {}
    for name, some in nonsense.items():
        if some.raw is not None:
            record[f"sure/raw/{name}"] = kept(answers(trained, some.raw, some.labels), threshold)[0]
        is_sure = answers(trained, some.seen, some.seen_labels).confidence >= threshold
        record[f"sure/seen/{name}"] = float((is_sure & some.is_read).double().mean())
    return record


def on_mnist(trained: Trained, val: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> Record:
    """Return accuracies, what may be kept with thresholds from validation, calibration, and what an attack leaves."""
    validation, tested = answers(trained, *val), answers(trained, *test)
    record: Record = {"seed": trained.recipe["seed_everything"], "sha256": trained.sha256}
    record |= {"val/acc": float(validation.right.double().mean()), "test/acc": float(tested.right.double().mean())}
    for right in RIGHT:
        threshold = keeping(validation, right)
        share, accuracy = kept(tested, threshold)
        record |= {f"kept/{right}": share, f"right/{right}": accuracy, f"threshold/{right}": threshold}
    record |= {"calibration": calibration_error(tested), "attacked": attacked(trained, *test)}
    return record | {"sure": sure_from(validation)}
