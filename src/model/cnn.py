"""A convolutional network: slower and more accurate than the MLP, so also a good teacher."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from src.common.errors import UsageError
from src.model.mlp import MLP

CHANNELS = (32, 64)


class CNN(nn.Sequential):
    """Two convolutions with max pooling, and the MLP on top of them, as LeCun et al. (1998) arranged a LeNet.

    The convolutions have PyTorch's default initialisation. There is no batch normalization, because its result would
    depend on the number of devices that share a batch.

    Args:
        image_shape: Shape of the images, (H, W) or (H, W, C); height and width are at least 4.
        hidden_units: Units of each fully connected hidden layer.
        num_classes: Number of logits.
        dropout: Probability with which a hidden unit is dropped in training.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (28, 28),
        hidden_units: Sequence[int] = (256,),
        num_classes: int = 10,
        dropout: float = 0.0,
    ) -> None:
        height, width, channels = (*image_shape, 1)[:3]
        features = CHANNELS[-1] * (height // 4) * (width // 4)  # of an image after two poolings
        if not features:
            raise UsageError(f"`network` cnn needs images of at least 4 x 4 pixels, got {height} x {width}.")
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for number, (before, after) in enumerate(zip((channels, *CHANNELS), CHANNELS, strict=False), start=1):
            layers[f"conv{number}"] = nn.Conv2d(before, after, kernel_size=3, padding=1)
            layers[f"pool{number}"] = nn.MaxPool2d(2)
            layers[f"conv_relu{number}"] = nn.ReLU()  # after the pooling, on a quarter of the values
        layers |= dict(MLP(features, hidden_units, num_classes, dropout).named_children())
        super().__init__(layers)
        self.to(memory_format=torch.channels_last)  # halves the time on the CPU, and is faster on a GPU
