"""What a network does on a split: its predictions, and the numbers that pictures and reports are made of."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_calibration_error, multiclass_confusion_matrix

from src.data.batches import BatchLoader, Split
from src.data.datamodule import EVAL_BATCH_SIZE, MNISTDataModule

BINS = 15


class Predictions(NamedTuple):
    """The predictions for a split, in its order.

    Attributes:
        probabilities: ``(N, C)`` float64: float32 has no difference left between the surest.
        labels: ``(N,)`` int64, the true classes.
        positions: ``(N,)`` int64, the images' places in their file.
    """

    probabilities: Tensor
    labels: Tensor
    positions: Tensor

    @property
    def confidence(self) -> Tensor:
        """The probability of the predicted class: ``(N,)`` float64."""
        return self.probabilities.amax(dim=1)

    @property
    def predicted(self) -> Tensor:
        """The class with the highest probability: ``(N,)`` int64."""
        return self.probabilities.argmax(dim=1)

    def select(self, right: bool, count: int, surest: bool = True) -> Tensor:
        """Return the numbers of the surest (or least sure) predictions that are right (or wrong), at most ``count``."""
        chosen = ((self.predicted == self.labels) == right).nonzero().flatten()
        return chosen[self.confidence[chosen].argsort(descending=surest, stable=True)[:count]]


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Let a network answer without dropout for a while, as it may still be in training mode after a training."""
    was_training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(was_training)


@torch.no_grad()
def predict(net: nn.Module, split: Split, data: MNISTDataModule) -> Predictions:
    """Predict a whole split on the CPU, whatever other ranks do and wherever the images are."""
    probabilities, labels, positions = [], [], []
    with evaluating(net):
        for batch in BatchLoader(split, EVAL_BATCH_SIZE):
            probabilities.append(net(data.normalize(batch.images.cpu())).double().softmax(dim=1))
            labels.append(batch.labels.cpu())
            positions.append(batch.positions.cpu())
    return Predictions(torch.cat(probabilities), torch.cat(labels), torch.cat(positions))


@torch.no_grad()
def hidden_activations(net: nn.Sequential, images: Tensor) -> Tensor:
    """Return what the last layer sees, ``(N, units)``, for normalized images ``(N, 28, 28)``."""
    with evaluating(net):
        activations: Tensor = nn.Sequential(*list(net)[:-1])(images)
    return activations


def confusion_counts(found: Predictions) -> Tensor:
    """Count ``(C, C)`` int64: row = true class, column = predicted class."""
    classes = found.probabilities.shape[1]
    counts: Tensor = multiclass_confusion_matrix(found.predicted, found.labels, classes, validate_args=False)
    return counts


def calibration_error(found: Predictions) -> float:
    """Compute the expected calibration error over 15 equally wide bins (Guo et al. 2017)."""
    classes = found.probabilities.shape[1]
    return float(
        multiclass_calibration_error(found.probabilities, found.labels, classes, n_bins=BINS, validate_args=False)
    )


def calibration_bins(found: Predictions) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean confidence, the accuracy and the number of predictions of the same bins, each ``(15,)``."""
    confidence, right = found.confidence, (found.predicted == found.labels).double()
    inner = torch.linspace(0, 1, BINS + 1, dtype=confidence.dtype)[1:-1]
    number = torch.bucketize(confidence, inner, right=True)
    counts = torch.bincount(number, minlength=BINS)
    means = [torch.bincount(number, values, BINS) / counts.clamp(min=1) for values in (confidence, right)]
    return means[0], means[1], counts


def class_report(counts: Tensor, classes: Sequence[str]) -> str:
    """Return precision, recall, F1 and support of each class and their means as a Markdown table.

    Args:
        counts: ``(C, C)``, true class by predicted class. A quotient of zeros counts as 0.
        classes: The names.
    """
    right, support = counts.diagonal().double(), counts.sum(dim=1).double()
    precision = right / counts.sum(dim=0).clamp(min=1)
    recall = right / support.clamp(min=1)
    f1 = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
    figures = torch.stack([precision, recall, f1], dim=1)
    rows = [*zip(classes, figures.tolist(), support.tolist(), strict=True)]
    rows.append(("mean of classes", figures.mean(dim=0).tolist(), float(support.sum())))
    weighted = (figures * support[:, None]).sum(dim=0) / support.sum()
    rows.append(("mean of images", weighted.tolist(), float(support.sum())))
    lines = ["| class | precision | recall | F1 | support |", "|---|---|---|---|---|"]
    lines += [f"| {name} | {' | '.join(f'{value:.4f}' for value in row)} | {size:,.0f} |" for name, row, size in rows]
    return "\n".join([*lines, "", f"accuracy {float(right.sum() / support.sum()):.4f}"])
