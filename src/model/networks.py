"""Which network: the choice that a config and a checkpoint name."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from src.model.cnn import CNN
from src.model.mlp import MLP

NetworkName = Literal["mlp", "cnn"]


def build_network(
    network: NetworkName, hidden_units: Sequence[int], num_classes: int, dropout: float = 0.0
) -> nn.Sequential:
    """Return a fresh network.

    Args:
        network: Its kind.
        hidden_units: Units of each fully connected hidden layer.
        num_classes: Number of logits.
        dropout: Probability with which a hidden unit is dropped in training.

    Returns:
        A network that takes ``(B, 28, 28)`` float32, normalized, and returns logits ``(B, num_classes)``.

    Raises:
        UsageError: If an argument is out of its range.
    """
    kind: type[MLP] | type[CNN] = {"mlp": MLP, "cnn": CNN}[network]
    return kind(hidden_units=hidden_units, num_classes=num_classes, dropout=dropout)
