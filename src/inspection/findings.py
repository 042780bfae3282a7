"""A network's predictions for a split, and the numbers for pictures and reports."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_calibration_error, multiclass_confusion_matrix

from src.common.errors import UsageError
from src.data.batches import BatchLoader, Split
from src.data.datamodule import EVAL_BATCH_SIZE, MNISTDataModule

BINS = 15


class Predictions(NamedTuple):
    """The predictions for a split, in its order."""

    probabilities: Tensor  # (N, C) float64: in float32 the surest predictions are all equal
    labels: Tensor  # (N,) int64, the true classes
    positions: Tensor  # (N,) int64, the places of the images in their file

    @property
    def confidence(self) -> Tensor:
        """The probability of the predicted class: ``(N,)`` float64."""
        return self.probabilities.amax(dim=1)

    @property
    def predicted(self) -> Tensor:
        """The class with the highest probability: ``(N,)`` int64."""
        return self.probabilities.argmax(dim=1)

    @property
    def right(self) -> Tensor:
        """Whether the predicted class is the true one: ``(N,)`` bool."""
        return self.predicted == self.labels

    def select(self, right: bool, count: int, surest: bool = True) -> Tensor:
        """Return the indices of the surest (or least sure) predictions that are right (or wrong), at most ``count``."""
        chosen = (self.right == right).nonzero().flatten()
        return chosen[self.confidence[chosen].argsort(descending=surest, stable=True)[:count]]


@torch.no_grad()
def predict(net: nn.Module, split: Split, data: MNISTDataModule) -> Predictions:
    """Predict a whole split on the CPU without dropout, whatever other ranks do and wherever the images are."""
    if not isinstance(net, nn.Module):
        raise UsageError(f"`net` must be a module, got {type(net).__name__}: a Trained has trained.answer(images).")
    if not isinstance(split, Split):
        raise UsageError(
            "`split` must be one of the data module's, such as data.splits['test']; for a few images use "
            "model(data.normalize(images)).softmax(dim=1)."
        )
    parts, was_training = [], net.training
    net.eval()
    for batch in BatchLoader(split, EVAL_BATCH_SIZE):
        probabilities = net(data.normalize(batch.images.cpu())).double().softmax(dim=1)
        parts.append((probabilities, batch.labels.cpu(), batch.positions.cpu()))
    net.train(was_training)
    return Predictions(*map(torch.cat, zip(*parts, strict=True)))


@torch.no_grad()
def hidden_activations(net: nn.Module, images: Tensor) -> Tensor:
    """Return the input of the last layer, ``(N, units)``, for normalized images ``(N, C, H, W)``.

    A network that is not an ``nn.Sequential`` needs a method ``hidden(images)``.
    """
    hidden: Any = nn.Sequential(*list(net)[:-1]) if isinstance(net, nn.Sequential) else net.hidden
    activations: Tensor = hidden(images)
    return activations.flatten(1)


def confusion_counts(predictions: Predictions) -> Tensor:
    """Return how often each class was predicted for each true class: ``(C, C)`` int64, a row per true class."""
    predicted, classes = predictions.predicted, predictions.probabilities.shape[1]
    return multiclass_confusion_matrix(predicted, predictions.labels, classes, validate_args=False)


def calibration_error(predictions: Predictions) -> float:
    """Compute the expected calibration error over 15 equally wide bins (Guo et al. 2017)."""
    probabilities, classes = predictions.probabilities, predictions.probabilities.shape[1]
    return float(multiclass_calibration_error(probabilities, predictions.labels, classes, BINS, validate_args=False))


def calibration_bins(predictions: Predictions) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean confidence, accuracy and number of predictions of ``calibration_error``'s bins, each ``(15,)``."""
    confidence, right = predictions.confidence, predictions.right.double()
    inner = torch.linspace(0, 1, BINS + 1, dtype=confidence.dtype)[1:-1]
    number = torch.bucketize(confidence, inner, right=True)
    counts = torch.bincount(number, minlength=BINS)
    means = [torch.bincount(number, values, BINS) / counts.clamp(min=1) for values in (confidence, right)]
    return means[0], means[1], counts


def class_report(counts: Tensor, classes: Sequence[str]) -> str:
    """Return precision, recall, F1 and support of each class and their means as a Markdown table.

    ``counts`` is ``(C, C)``, true class by predicted class. 0 / 0 counts as 0.
    """
    right, support = counts.diagonal().double(), counts.sum(dim=1).double()
    precision = right / counts.sum(dim=0).clamp(min=1)
    recall = right / support.clamp(min=1)
    f1 = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
    figures = torch.stack([precision, recall, f1], dim=1)
    weighted = (figures * support[:, None]).sum(dim=0) / support.sum()
    rows = [*zip(classes, figures, support, strict=True), ("mean of classes", figures.mean(dim=0), support.sum())]
    rows.append(("mean of images", weighted, support.sum()))
    lines = ["| class | precision | recall | F1 | support |", "|---|---|---|---|---|"]
    lines += [f"| {name} | {' | '.join(f'{value:.4f}' for value in row)} | {size:,.0f} |" for name, row, size in rows]
    return "\n".join([*lines, "", f"accuracy {right.sum() / support.sum():.4f}"])
