"""Which network: the choice that a config and a checkpoint name."""

from collections.abc import Callable, Sequence
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


def parameter_table(module: nn.Module) -> str:
    """Return a table of the layers that have parameters, with exact counts."""
    rows = []
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            count = sum(parameter.numel() for parameter in layer.parameters())
            fan = (layer.in_features, layer.out_features) if isinstance(layer, nn.Linear) else layer.weight.shape[1::-1]
            rows.append((f"{type(layer).__name__} {fan[0]} -> {fan[1]}", f"{count:,}"))
    rows.append(("Parameters", f"{sum(parameter.numel() for parameter in module.parameters()):,}"))
    width = max(len(name) for name, _ in rows) + 4
    digits = max(len(count) for _, count in rows)
    return "\n".join(f"{name:<{width}}{count:>{digits}}" for name, count in rows)
