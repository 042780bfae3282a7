"""Which network: the choice that a config and a checkpoint name."""

from collections.abc import Callable, Sequence
from typing import Literal

from torch import nn

from src.model.cnn import CNN
from src.model.mlp import MLP

NetworkName = Literal["mlp", "cnn"]
SETTINGS = ("network", "hidden_units")  # arguments that a checkpoint must name, to build it again


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
        A network that takes ``(B, 28, 28)`` float32, normalized, and returns logits ``(B, num_classes)``. Its last
        layer makes the logits of the last hidden layer's units, which the Projector shows.

    Raises:
        UsageError: If an argument is out of its range.
    """
    kinds: dict[NetworkName, Callable[..., nn.Sequential]] = {
        "mlp": MLP,
        "cnn": CNN,
    }
    return kinds[network](hidden_units=hidden_units, num_classes=num_classes, dropout=dropout)
