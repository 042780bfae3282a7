from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from src.data.batches import Split
from src.data.datamodule import MNISTDataModule
from src.inspection.findings import (
    Predictions,
    calibration_bins,
    calibration_error,
    class_report,
    confusion_counts,
    hidden_activations,
    predict,
)
from src.inspection.views import Evaluation
from src.model.mlp import MLP
from tests.synthetic import synthetic_digits


def predictions(size: int = 500, classes: int = 4) -> Predictions:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(size, classes, generator=generator, dtype=torch.float64)
    labels = torch.where(
        torch.rand(size, generator=generator) < 0.5, logits.argmax(dim=1), torch.arange(size) % classes
    )
    return Predictions(logits.softmax(dim=1), labels, torch.arange(size))


def test_confusion_counts_are_a_plain_count() -> None:
    found = predictions()
    counted = np.zeros((4, 4), dtype=int)
    for label, row in zip(found.labels.tolist(), found.probabilities.numpy(), strict=True):
        counted[label, row.argmax()] += 1

    assert counted.sum() - counted.trace() > 50
    assert confusion_counts(found).tolist() == counted.tolist()


def test_the_worst_mistakes_are_the_most_confident_wrong_ones() -> None:
    found = predictions()
    rows = zip(found.probabilities.tolist(), found.labels.tolist(), range(500), strict=True)
    wrong = sorted((-max(row), number) for row, label, number in rows if row.index(max(row)) != label)

    assert found.select(right=False, count=7).tolist() == [number for _, number in wrong[:7]]
    assert len(found.select(right=False, count=10_000)) == len(wrong)


def test_the_surest_and_the_least_sure_right_ones_are_the_two_ends_of_one_order() -> None:
    found = predictions()
    rows = zip(found.probabilities.tolist(), found.labels.tolist(), range(500), strict=True)
    right = sorted((-max(row), number) for row, label, number in rows if row.index(max(row)) == label)

    assert found.select(right=True, count=5).tolist() == [number for _, number in right[:5]]
    assert found.select(right=True, count=5, surest=False).tolist() == [number for _, number in right[:-6:-1]]


def test_the_calibration_error_is_the_gap_of_each_bin_weighted_by_its_size() -> None:
    found = predictions()
    confidence = found.probabilities.numpy().max(axis=1)
    right = found.probabilities.numpy().argmax(axis=1) == found.labels.numpy()
    expected = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence >= low) & (confidence < low + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    means, accuracy, counts = calibration_bins(found)

    assert calibration_error(found) == pytest.approx(expected, abs=1e-5)
    assert float(((means - accuracy).abs() * counts).sum() / counts.sum()) == pytest.approx(expected, abs=1e-5)
    assert int(counts.sum()) == 500


def test_the_report_has_precision_recall_f1_and_support_of_each_class() -> None:
    report = class_report(torch.tensor([[8, 2, 0], [1, 4, 0], [0, 0, 0]]), ["cat", "dog", "owl"])

    assert "| cat | 0.8889 | 0.8000 | 0.8421 | 10 |" in report
    assert "| dog | 0.6667 | 0.8000 | 0.7273 | 5 |" in report
    assert "| owl | 0.0000 | 0.0000 | 0.0000 | 0 |" in report
    assert "| mean of images | 0.8148 | 0.8000 | 0.8038 | 15 |" in report
    assert "accuracy 0.8000" in report


def test_predictions_are_those_of_the_network_in_the_order_of_the_split() -> None:
    images, labels = synthetic_digits(50, seed=0)
    net, data = MLP(hidden_units=(12, 7)), MNISTDataModule(normalization=[0.1, 0.3])
    members = torch.arange(3, 50, 2)
    found = predict(net, Split(images, labels, members), data)
    pixels = (images[members].float() / 255 - 0.1) / 0.3
    logits = net(pixels).detach()

    assert torch.allclose(found.probabilities.float(), logits.softmax(dim=1), atol=1e-6)
    assert found.labels.equal(labels[members].long())
    assert found.positions.equal(members)
    last: Any = net.linear3
    assert torch.allclose(last(hidden_activations(net, pixels)), logits, atol=1e-6)


def test_shown_images_stand_upright_and_are_those_of_the_predictions(tmp_path: Path) -> None:
    images, labels = synthetic_digits(50, seed=0)
    data = MNISTDataModule()
    data.splits["val"] = Split(images, labels, torch.arange(3, 50, 2), transposed=True)
    predictions = predict(MLP(), data.splits["val"], data)
    with SummaryWriter(tmp_path) as writer:
        shown = Evaluation(writer, MLP(), data, 1, "val", predictions, tmp_path, samples=5)

    assert shown.images(torch.tensor([0, 4])).equal(images[[3, 11]].transpose(1, 2))
