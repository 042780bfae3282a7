"""Loss and metrics of an epoch: sums that stay on the device and are read once."""

import re
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities.distributed import gather_all_tensors

from src.common.errors import UsageError

Stage = Literal["train", "val", "test"]
Sums = dict[str, dict[str, Tensor]]
"""The sums of metrics, ``(ranks, ...)``, by the name of the metric and of the sum."""


class MeanLoss(Metric):
    """Mean of a loss over samples, exact for batches of any size, and the number of batches while it was finite.

    torchmetrics 1.9's ``MeanMetric`` ignores weights when its check for NaN is off, and with the check on it reads
    every batch back from the device.
    """

    full_state_update = False
    total: Tensor
    samples: Tensor
    finite: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("samples", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("finite", torch.tensor(0), dist_reduce_fx="min")

    def update(self, loss_sums: Tensor, samples: int) -> None:
        """Add batches: the sum of each batch's losses, ``(batches,)`` float32, and the number of all samples."""
        self.finite += (self.total + loss_sums.cumsum(0)).isfinite().sum()
        self.total += loss_sums.sum()
        self.samples += samples

    def compute(self) -> Tensor:
        """Return the mean, a float32 scalar."""
        return self.total / self.samples


class StageMetrics(MetricCollection):
    """The loss and other metrics of one stage's epoch, named ``{stage}/loss``, ``{stage}/acc`` and so on.

    Args:
        stage: The first part of the metrics' names.
        metrics: The metrics besides the loss, by the last part of the name; each takes logits and labels.
    """

    def __init__(self, stage: Stage, metrics: Mapping[str, Metric]) -> None:
        named: dict[str, Metric | MetricCollection] = {"loss": MeanLoss(), **deepcopy(dict(metrics))}
        super().__init__(named, prefix=f"{stage}/", compute_groups=False)
        self.stage = stage
        self.names = [f"{stage}/{name}" for name in named]  # torchmetrics sorts them
        for name, metric in self.items():
            if any(isinstance(state, list) for state in _state(metric).values()):
                raise UsageError(
                    f"{name}: {type(metric).__name__} keeps every prediction of an epoch, which no checkpoint and no "
                    "other device can take over: give it `thresholds`, such as thresholds=200, or take another metric."
                )

    def count(self, loss_sums: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count batches.

        Args:
            loss_sums: The sum of each batch's losses, ``(batches,)``.
            logits: ``(B, num_classes)``, of all batches.
            labels: ``(B,)`` int64.
        """
        for name, metric in self.items(keep_base=True):
            if name == "loss":
                metric.update(loss_sums.detach(), len(labels))
            elif len(labels):  # a device has no samples of a batch smaller than the number of devices
                metric.update(logits.detach(), labels)

    def compute(self) -> dict[str, Tensor]:
        """Compute the epoch's means over all devices, scalars by name; every rank must call this."""
        results = super().compute()
        return {name: results[name] for name in self.names}

    def running(self) -> dict[str, Tensor]:
        """Return loss and accuracy of this rank's samples so far, without communication."""
        loss: Any = self["loss"]
        right, wrong = self._right_and_wrong()
        return {f"{self.stage}/loss": loss.total / loss.samples, f"{self.stage}/acc": right / (right + wrong)}

    def counts(self) -> tuple[int, int]:
        """Return how many samples were right, and of how many, on all devices; every rank must call this."""
        with self["acc"].sync_context():
            right, wrong = map(int, self._right_and_wrong())
        return right, right + wrong

    def finite_batches(self) -> int | None:
        """Return how many batches came before the first loss that is not finite; every rank must call this.

        Returns:
            None if all losses of all devices are finite.
        """
        loss: Any = self["loss"]
        with loss.sync_context():
            return None if loss.total.isfinite() else int(loss.finite)

    def sums(self, world_size: int) -> Sums:
        """Return a copy of each rank's sums so far, as plain tensors; every rank must call this."""
        return {
            name: {
                key: torch.stack(gather_all_tensors(value) if world_size > 1 else [value])
                for key, value in _state(metric).items()
            }
            for name, metric in self.items()
        }

    def load_sums(self, sums: Sums, rank: int, world_size: int) -> None:
        """Take this rank's sums so far; if the number of ranks has changed, rank 0 takes the sums of all ranks."""
        for name, metric in self.items():
            states = _state(metric)
            for key, value in sums.get(name, {}).items():
                state = states.get(key)
                if state is None or value.shape[1:] != state.shape:  # of a metric with other arguments
                    continue
                ranks = value.reshape(-1, *state.shape).to(state.device)
                if len(ranks) == world_size:
                    setattr(metric, key, ranks[rank].clone())
                else:
                    setattr(metric, key, ranks.amin(dim=0) if key == "finite" else ranks.sum(dim=0) * (rank == 0))

    def _right_and_wrong(self) -> tuple[Tensor, Tensor]:
        acc: Any = self["acc"]
        return acc.tp.sum(), acc.fn.sum()


def by_name(metrics: Iterable[Callable[[int], Metric]], num_classes: int) -> dict[str, Metric]:
    """Make metrics for a number of classes, each under a name: ``f1`` for MulticlassF1Score."""
    named: dict[str, Metric] = {}
    for make in metrics:
        try:
            metric = make(num_classes)
        except (TypeError, ValueError, AttributeError) as error:  # by which torchmetrics refuses an argument
            way_out = "name a class such as MulticlassF1Score, or mend its arguments."
            raise UsageError(f"`metrics` has a class that cannot be made ({error}): {way_out}") from error
        metric.validate_args = False  # it would read every batch back from the device
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(metric).__name__.removeprefix("Multiclass"))
        name = words.lower().removesuffix("_score")
        if name in ("loss", "acc", *named):
            raise UsageError(f"`metrics` has two called {name}: leave one out.")
        named[name] = metric
    return named


def _state(metric: Metric) -> dict[str, Any]:
    state: Any = metric.metric_state
    return dict(state)
