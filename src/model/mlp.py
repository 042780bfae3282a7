"""The network: a plain ``nn.Module`` without any Lightning in it."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral

from torch import nn

from src.common.errors import UsageError, in_range


class MLP(nn.Sequential):
    """Fully connected layers with ReLU, initialised like the Keras notebook.

    Kernels are drawn from N(0, 0.05), not truncated (Keras' ``RandomNormal(mean=0., stddev=0.05)``); biases are
    zero. The last layer returns logits.

    Args:
        in_features: Values in one image; images of any shape ``(B, ...)`` are flattened to ``(B, in_features)``.
        hidden_units: Units of each hidden layer.
        num_classes: Number of logits.
        dropout: Probability with which a hidden unit is dropped in training.
    """

    def __init__(
        self,
        in_features: int = 784,
        hidden_units: Sequence[int] = (256,),
        num_classes: int = 10,
        dropout: float = 0.0,
    ) -> None:
        units = hidden_units if isinstance(hidden_units, Sequence) else ()
        if not units or not all(isinstance(number, Integral) and number >= 1 for number in units):
            raise UsageError(f"`hidden_units` needs a positive number per layer, like [256], got {hidden_units!r}.")
        if not in_range(dropout, 0, 1):
            raise UsageError(f"`dropout` must be at least 0 and below 1, got {dropout!r}.")
        # named, so that a checkpoint's keys do not depend on whether there is dropout
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        sizes = [in_features, *hidden_units, num_classes]
        for number, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
            layers[f"linear{number}"] = linear = nn.Linear(fan_in, fan_out)
            if not linear.weight.is_meta:  # on the meta device torch would import its compiler, for a second
                nn.init.normal_(linear.weight, mean=0.0, std=0.05)
                nn.init.zeros_(linear.bias)
            if number <= len(hidden_units):
                layers[f"relu{number}"] = nn.ReLU()
                if dropout:
                    layers[f"dropout{number}"] = nn.Dropout(dropout)
        super().__init__(layers)
