"""What every network keeps to, whatever its kind; one that is added to NetworkName is tried here too."""

from typing import get_args

import pytest
import torch
from torch import nn

from src.common.errors import UsageError
from src.model.networks import NetworkName, build_network

pytestmark = pytest.mark.parametrize("name", get_args(NetworkName))


def test_each_image_gets_a_logit_per_class_whatever_is_beside_it(name: NetworkName) -> None:
    torch.manual_seed(0)
    network, images = build_network(name, [8], 7), torch.rand(5, 1, 28, 28)  # in training mode
    logits = network(images)

    assert logits.shape == (5, 7)
    # else the result would depend on how many devices share a batch
    torch.testing.assert_close(network(images[:2]), logits[:2])


def test_every_weight_learns(name: NetworkName) -> None:
    torch.manual_seed(0)
    network = build_network(name, [8], 7)
    nn.functional.cross_entropy(network(torch.rand(50, 1, 28, 28)), torch.arange(50) % 7).backward()

    assert all(weight.grad is not None and weight.grad.any() for weight in network.parameters())


def test_the_last_layer_sees_the_last_hidden_units(name: NetworkName) -> None:
    network = build_network(name, [8, 6], 7)

    assert nn.Sequential(*list(network)[:-1])(torch.rand(5, 1, 28, 28)).shape == (5, 6)


def test_dropout_does_not_rename_weights(name: NetworkName) -> None:
    plain, dropping = build_network(name, [8], 7), build_network(name, [8], 7, dropout=0.5)
    images = torch.rand(5, 1, 28, 28)

    assert plain.state_dict().keys() == dropping.state_dict().keys()
    assert not torch.equal(dropping(images), dropping(images))
    dropping.eval()
    assert torch.equal(dropping(images), dropping(images))


def test_no_hidden_units_are_refused(name: NetworkName) -> None:
    with pytest.raises(UsageError, match="`hidden_units`"):
        build_network(name, [], 7)
