from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC

from src.common.errors import UsageError
from src.data.batches import Batch
from src.model.classifier import Classifier
from src.model.metrics import StageMetrics


def gradients(model: Classifier, images: Tensor, labels: Tensor) -> list[np.ndarray]:
    model.zero_grad()
    functional.cross_entropy(model(images), labels).backward()
    return [parameter.grad.numpy().astype(np.float64) for parameter in model.parameters()]


def test_two_steps_are_adam_with_keras_epsilon() -> None:
    torch.manual_seed(0)
    model = Classifier(hidden_units=[4], lr=1e-3)
    # pixels this small give gradients around 1e-7, where eps 1e-7 and torch's 1e-8 part
    images, labels = torch.rand(8, 28, 28) * 1e-6, torch.randint(0, 10, (8,))
    optimizer = model.configure_optimizers()
    weights = [parameter.detach().numpy().astype(np.float64) for parameter in model.parameters()]
    first, second = [[np.zeros_like(weight) for weight in weights] for _ in range(2)]

    for step in (1, 2):
        for index, gradient in enumerate(gradients(model, images, labels)):
            first[index] = 0.9 * first[index] + 0.1 * gradient
            second[index] = 0.999 * second[index] + 0.001 * gradient**2
            mean, square = first[index] / (1 - 0.9**step), second[index] / (1 - 0.999**step)
            weights[index] = weights[index] - 1e-3 * mean / (np.sqrt(square) + 1e-7)
        optimizer.step()

    for parameter, expected in zip(model.parameters(), weights, strict=True):
        np.testing.assert_allclose(parameter.detach().numpy(), expected, atol=2e-6)


def test_the_epochs_metrics_are_a_plain_count_however_batches_are_cut() -> None:
    torch.manual_seed(0)
    model = Classifier(hidden_units=[16])
    images, labels = torch.rand(103, 28, 28), torch.randint(0, 10, (103,))
    with torch.no_grad():
        logits = model(images).numpy().astype(np.float64)
        for number, start in enumerate(range(0, 103, 20)):
            shard = slice(start, start + 20)
            model.validation_step(Batch(images[shard], labels[shard], labels[shard], [20], [20]), number)
        model.validation_step(Batch(images[:0], labels[:0], labels[:0], [0], [20]), 6)  # an empty shard counts nothing
    metrics = model.val_metrics.compute()

    log_sum = np.log(np.exp(logits).sum(axis=1))
    losses = log_sum - logits[np.arange(103), labels.numpy()]
    assert float(metrics["val/acc"]) == pytest.approx((logits.argmax(axis=1) == labels.numpy()).mean(), abs=1e-7)
    assert float(metrics["val/loss"]) == pytest.approx(losses.mean(), rel=1e-6)
    assert model.val_metrics.running().keys() <= metrics.keys()  # a bar need not show them all
    assert float(model.val_metrics.running()["val/acc"]) == pytest.approx(float(metrics["val/acc"]))


@pytest.mark.parametrize("cuts", [[0, 7], [0, 3, 5, 7], [0, 0, 7]], ids=["one rank", "three ranks", "an empty shard"])
def test_the_ranks_mean_gradient_is_that_of_the_global_batch(cuts: list[int]) -> None:
    torch.manual_seed(0)
    model = Classifier(hidden_units=[4])
    images, labels = torch.rand(7, 28, 28), torch.randint(0, 10, (7,))
    expected = gradients(model, images, labels)
    ranks = list(pairwise(cuts))
    model.zero_grad()
    with patch.object(Classifier, "trainer", SimpleNamespace(world_size=len(ranks))):
        for start, stop in ranks:
            shard = Batch(images[start:stop], labels[start:stop], labels[start:stop], [stop - start], [7])
            loss = model.training_step(shard, 0)
            assert isinstance(loss, torch.Tensor)
            (loss / len(ranks)).backward()

    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), gradient, atol=1e-7)


@pytest.mark.parametrize("lr", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_lr_is_refused(lr: float) -> None:
    with pytest.raises(UsageError, match=r"^`lr` must be"):
        Classifier(lr=lr)


def test_without_a_cosine_the_lr_stays_after_the_warm_up() -> None:
    configured: Any = Classifier(lr=0.5, warmup_steps=4).configure_optimizers()
    rates = []
    for _ in range(6):
        rates.append(configured["optimizer"].param_groups[0]["lr"])
        configured["optimizer"].step()
        configured["lr_scheduler"]["scheduler"].step()

    assert rates == [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]


def test_each_batch_drops_units_of_its_own_and_the_same_ones_again() -> None:
    model = Classifier(dropout=0.5)

    def drawn(batch: int) -> list[float]:
        model.seed_dropout(batch)
        return torch.rand(3).tolist()

    assert drawn(0) == drawn(0) != drawn(1)


@pytest.mark.parametrize("place", ["current_epoch", "global_rank"])
def test_each_epoch_and_each_rank_drops_units_of_its_own(place: str) -> None:
    drawn = []
    for number in (0, 1):
        with patch.object(Classifier, place, number):
            Classifier(dropout=0.5).seed_dropout(3)
        drawn.append(torch.rand(3).tolist())

    assert drawn[0] != drawn[1]


def test_a_metric_that_keeps_all_predictions_is_refused_with_the_way_out() -> None:
    with pytest.raises(UsageError, match=r"MulticlassAUROC keeps every prediction .* `thresholds`"):
        StageMetrics("val", {"auroc": MulticlassAUROC(3)})
    metrics = StageMetrics("val", {"auroc": MulticlassAUROC(3, thresholds=50, validate_args=False)})
    metrics.count(torch.zeros(2), torch.eye(3), torch.arange(3))
    assert metrics.compute() == {"val/loss": 0, "val/auroc": 1}


def test_another_metric_is_one_entry() -> None:
    """Its sums are resumed, and its name is where the others' are."""
    entries = {"top2": MulticlassAccuracy(3, top_k=2, average="micro", validate_args=False)}
    metrics, resumed = StageMetrics("train", entries), StageMetrics("train", entries)
    metrics.count(torch.ones(1), torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), torch.tensor([1, 2]))
    resumed.load_sums(metrics.sums(world_size=1), rank=0, world_size=1)
    for part in (metrics, resumed):
        part.count(torch.ones(1), torch.tensor([[3.0, 2.0, 1.0]] * 2), torch.tensor([0, 2]))

    assert resumed.names == ["train/loss", "train/top2"]
    assert resumed.compute() == metrics.compute() == {"train/loss": 0.5, "train/top2": 0.5}
