"""The networks that a config and a checkpoint can name."""

from collections.abc import Sequence
from math import prod
from typing import Literal

from torch import nn

from src.common.errors import UsageError
from src.model.cnn import CNN
from src.model.mlp import MLP

NetworkName = Literal["mlp", "cnn"]


def build_network(
    network: NetworkName,
    hidden_units: Sequence[int],
    num_classes: int,
    dropout: float = 0.0,
    image_shape: Sequence[int] = (28, 28),
) -> nn.Sequential:
    """Return a new network; ``Classifier`` explains the arguments.

    Returns:
        A network that takes ``(B, C, H, W)`` float32, normalized, and returns logits ``(B, num_classes)``. Its last
        layer turns the last hidden layer's units, which the Projector shows, into logits.
    """
    if network == "mlp":
        return MLP(prod(image_shape), hidden_units, num_classes, dropout)
    if network == "cnn":
        return CNN(image_shape, hidden_units, num_classes, dropout)
    raise UsageError(f"`network` {network}: name mlp or cnn.")


def parameter_table(module: nn.Module) -> str:
    """Return a table of the layers that have parameters, with exact counts."""
    rows = []
    for layer in module.modules():
        if count := sum(parameter.numel() for parameter in layer.parameters(recurse=False)):
            shape = layer.weight.shape if isinstance(layer, nn.Linear | nn.Conv2d) else ()
            rows.append(
                (f"{type(layer).__name__} {shape[1]} -> {shape[0]}" if shape else type(layer).__name__, f"{count:,}")
            )
    rows.append(("Parameters", f"{sum(parameter.numel() for parameter in module.parameters()):,}"))
    width = max(len(name) for name, _ in rows) + 4
    digits = max(len(count) for _, count in rows)
    return "\n".join(f"{name:<{width}}{count:>{digits}}" for name, count in rows)
