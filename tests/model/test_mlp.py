from typing import Any

import pytest
import torch

from src.common.errors import UsageError
from src.model.mlp import MLP


def test_the_notebooks_network_has_203530_parameters() -> None:
    network: Any = MLP()

    assert sum(parameter.numel() for parameter in network.parameters()) == 203_530
    assert {name: tuple(parameter.shape) for name, parameter in network.named_parameters()} == {
        "linear1.weight": (256, 784),
        "linear1.bias": (256,),
        "linear2.weight": (10, 256),
        "linear2.bias": (10,),
    }


def test_kernels_are_normal_and_not_truncated_and_biases_zero() -> None:
    torch.manual_seed(0)
    network: Any = MLP()
    weight = network.linear1.weight.detach()

    assert float(weight.mean()) == pytest.approx(0, abs=5e-4)
    assert float(weight.std()) == pytest.approx(0.05, rel=0.01)
    assert float(weight.abs().max()) > 4 * 0.05  # a truncated normal has nothing beyond 2 standard deviations
    assert float((weight.abs() < 0.05).float().mean()) == pytest.approx(0.6827, abs=0.005)
    assert float(network.linear2.weight.detach().std()) == pytest.approx(
        0.05, rel=0.06
    )  # 2,560 values: 4 sigma are 0.056
    assert not network.linear1.bias.any()
    assert not network.linear2.bias.any()


def test_logits_are_not_clipped() -> None:
    torch.manual_seed(0)
    logits = MLP()(torch.rand(50, 28, 28)).detach()

    assert logits.shape == (50, 10)
    assert float(logits.min()) < 0 < float(logits.max())


def test_the_output_is_two_matrix_products_around_a_relu() -> None:
    torch.manual_seed(0)
    network: Any = MLP()
    images = torch.rand(5, 28, 28)
    hidden = (images.reshape(5, 784) @ network.linear1.weight.T).clamp(min=0)

    torch.testing.assert_close(network(images), hidden @ network.linear2.weight.T)


def test_dropout_follows_every_hidden_layer_and_does_not_rename_weights() -> None:
    plain, dropping = MLP(hidden_units=[1000, 1000]), MLP(hidden_units=[1000, 1000], dropout=0.5)

    assert [name for name, _ in dropping.named_children()] == [
        "flatten",
        "linear1",
        "relu1",
        "dropout1",
        "linear2",
        "relu2",
        "dropout2",
        "linear3",
    ]
    assert plain.state_dict().keys() == dropping.state_dict().keys()
    assert sum(parameter.numel() for parameter in plain.parameters()) == 1_796_010


@pytest.mark.parametrize(
    "settings", [{"hidden_units": []}, {"hidden_units": [3, 0]}, {"dropout": 1.0}, {"dropout": -0.1}]
)
def test_impossible_networks_are_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"`{next(iter(settings))}`"):
        MLP(**settings)
