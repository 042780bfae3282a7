"""Loss and accuracy of an epoch: sums that stay on the device and are read once."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.utilities.distributed import gather_all_tensors

Stage = Literal["train", "val", "test"]
Sums = dict[str, dict[str, Tensor]]
"""What metrics have summed up, ``(ranks, ...)``, by the name of the metric and of the sum."""


class MeanLoss(Metric):
    """Mean of a loss over samples, exact for batches of any size, and how long it stayed finite.

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
        """Add batches: the sum of the losses of each, ``(batches,)`` float32, and how many samples they have."""
        self.finite += (self.total + loss_sums.cumsum(0)).isfinite().sum()
        self.total += loss_sums.sum()
        self.samples += samples

    def compute(self) -> Tensor:
        """Return the mean, a float32 scalar."""
        return self.total / self.samples


class StageMetrics(nn.Module):
    """The metrics of one stage's epoch, under the names by which they are logged.

    Args:
        stage: The first part of their names.
        num_classes: Number of classes.
    """

    def __init__(self, stage: Stage, num_classes: int) -> None:
        super().__init__()
        self.stage = stage
        self.loss = MeanLoss()
        # validate_args would read every batch back from the device
        self.acc = MulticlassAccuracy(num_classes, average="micro", validate_args=False)

    def update(self, loss_sums: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count batches.

        Args:
            loss_sums: The sum of the losses of each, ``(batches,)``.
            logits: ``(B, num_classes)``, of all of them.
            labels: ``(B,)`` int64.
        """
        self.loss.update(loss_sums.detach(), len(labels))
        if len(labels):  # with more devices than samples in a batch, some have none
            self.acc.update(logits.detach(), labels)

    @property
    def names(self) -> list[str]:
        """What the metrics are called."""
        return list(self._named())

    def compute(self) -> dict[str, Tensor]:
        """Compute the epoch's means over all devices; every rank must call this.

        Returns:
            Scalars named ``{stage}/loss`` (mean cross-entropy in nats) and ``{stage}/acc`` (between 0 and 1).
        """
        return {name: metric.compute() for name, metric in self._named().items()}

    def running(self) -> dict[str, Tensor]:
        """Return loss and accuracy of this rank's samples so far, without talking to other ranks."""
        right, wrong = self._counts()
        return {f"{self.stage}/loss": self.loss.total / self.loss.samples, f"{self.stage}/acc": right / (right + wrong)}

    def counts(self) -> tuple[int, int]:
        """Return how many samples were right, and of how many, on all devices; every rank must call this."""
        with self.acc.sync_context():
            right, wrong = map(int, self._counts())
        return right, right + wrong

    def finite_batches(self) -> int | None:
        """Return how many batches came before the first loss that is not finite; every rank must call this.

        Returns:
            None if all losses of all devices are finite.
        """
        with self.loss.sync_context():
            return None if self.loss.total.isfinite() else int(self.loss.finite)

    def reset(self) -> None:
        """Start an epoch."""
        for metric in self._named().values():
            metric.reset()

    def sums(self, world_size: int) -> Sums:
        """Return a copy of each rank's sums so far, as plain tensors; every rank must call this."""
        return {
            name: {
                key: torch.stack(gather_all_tensors(value) if world_size > 1 else [value])
                for key, value in _state(metric).items()
            }
            for name, metric in self._named().items()
        }

    def load_sums(self, sums: Sums, rank: int, world_size: int) -> None:
        """Take sums so far: those of this rank or, if there were more or fewer ranks, the first one takes all."""
        for name, metric in self._named().items():
            for key, value in sums.get(name, {}).items():
                own = _state(metric)[key]
                ranks = value.reshape(-1, *own.shape).to(own.device)
                if len(ranks) == world_size:
                    setattr(metric, key, ranks[rank].clone())
                else:
                    setattr(metric, key, ranks.amin(dim=0) if key == "finite" else ranks.sum(dim=0) * (rank == 0))

    def _named(self) -> dict[str, Metric]:
        return {f"{self.stage}/loss": self.loss, f"{self.stage}/acc": self.acc}

    def _counts(self) -> tuple[Tensor, Tensor]:
        acc: Any = self.acc
        return acc.tp.sum(), acc.fn.sum()


def _state(metric: Metric) -> dict[str, Tensor]:
    state: Any = metric.metric_state
    return dict(state)
