"""Losses and metrics of a user's own, sound and broken."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import Metric


class Forgetful(nn.Module):
    """A loss whose reduction cannot be chosen."""

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels)


class Stubborn(Forgetful):
    """A loss that is the mean, whatever it is asked for."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()


class Focal(nn.Module):
    """The loss of Lin et al. (2017)."""

    def __init__(self, gamma: float = 2.0, reduction: str = "mean") -> None:
        super().__init__()
        self.gamma, self.reduction = gamma, reduction

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        entropy = functional.cross_entropy(logits, labels, reduction="none")
        losses = (1 - (-entropy).exp()) ** self.gamma * entropy
        return losses.sum() if self.reduction == "sum" else losses.mean()


class Scaled(nn.Module):
    """A loss with something to learn: how warm the softmax is."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(self.scale * logits, labels, reduction="sum")


class Largest(Metric):
    """The largest logit, which of two devices is not the sum."""

    largest: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.add_state("largest", torch.tensor(0.0), dist_reduce_fx="max")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        self.largest = torch.maximum(self.largest, logits.max())

    def compute(self) -> Tensor:
        return self.largest


class Hits(Metric):
    """How many are right, NaN once there are enough of them."""

    hits: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.add_state("hits", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        self.hits += (logits.argmax(1) == labels).sum()

    def compute(self) -> Tensor:
        return self.hits.float() if self.hits < 5 else torch.tensor(float("nan"))
