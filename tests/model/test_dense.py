"""What training on the CPU does without autograd and without ``Optimizer.step`` has the same bits as with them."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from src.model import execution
from src.model.adam import FusedAdam
from src.model.classifier import Classifier
from src.model.cnn import CNN
from src.model.dense import Dense
from src.model.mlp import MLP
from tests.conftest import Cli

SIZES = [32, 32, 7]


def step_by_step(
    net: nn.Module, forward: Callable[..., Any], optimizer: Any, criterion: nn.Module
) -> list[torch.Tensor]:
    torch.manual_seed(1)
    optimizer = optimizer(net.parameters())
    steps = FusedAdam.of(optimizer) if forward is not net else optimizer
    losses = []
    for size in SIZES:
        images, labels = torch.rand(size, 1, 28, 28), torch.randint(0, 10, (size,))
        loss = criterion(forward(images), labels) / size
        optimizer.zero_grad()
        loss.backward()
        steps.step()
        losses.append(loss.detach())
    return [*losses, *net.parameters(), *(parameter.grad for parameter in net.parameters())]


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(label_smoothing=0.1), nn.MultiMarginLoss()])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("hidden_units", [[8], [16, 8, 12]])
def test_every_bit_is_autograds(hidden_units: list[int], dropout: float, loss: nn.Module, optimizer: Any) -> None:
    results = []
    for by_hand in (True, False):
        torch.manual_seed(0)
        net = MLP(784, hidden_units, dropout=dropout)
        make = lambda weights: optimizer(weights, lr=0.01, weight_decay=0.1, fused=True)  # noqa: E731
        results.append(step_by_step(net, Dense(net) if by_hand else net, make, loss))

    assert all(map(torch.equal, *results))


class Brighter(Classifier):
    """A classifier that does something to the images first."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(2 * images)


def module_of(net: nn.Module, precision: str = "32-true", kind: type[Classifier] = Classifier) -> Any:
    module: Any = kind()
    module.net, module.trainer = net, SimpleNamespace(precision=precision)
    return module


def hooked() -> MLP:
    net = MLP()
    net.relu1.register_forward_hook(lambda *_: None)
    return net


def frozen() -> MLP:
    net = MLP()
    net.linear1.requires_grad_(False)
    return net


def watched() -> MLP:
    net = MLP()
    net.linear1.weight.register_hook(lambda gradient: gradient)
    return net


def normalized() -> MLP:
    net = MLP()
    parametrizations.weight_norm(net.linear1)
    return net


@pytest.mark.parametrize("make", [hooked, frozen, watched, normalized, CNN])
def test_autograd_trains_what_somebody_looks_into(make: Callable[[], nn.Module]) -> None:
    assert Dense.of(module_of(make())) is None
    assert Dense.of(module_of(MLP(), "bf16-mixed")) is None
    assert Dense.of(module_of(MLP(), kind=Brighter)) is None
    with torch.autograd.set_detect_anomaly(True):
        assert Dense.of(module_of(MLP())) is None
    assert Dense.of(module_of(MLP())) is not None


@pytest.mark.parametrize(
    "make",
    [
        lambda weights: torch.optim.Adam(weights),
        lambda weights: torch.optim.Adam(weights, amsgrad=True, fused=True),
        lambda weights: torch.optim.SGD(weights),
        lambda weights: torch.optim.NAdam(weights),
    ],
)
def test_other_optimizers_take_their_own_steps(make: Callable[..., Any]) -> None:
    optimizer = torch.optim.Adam(MLP().parameters(), fused=True)

    assert FusedAdam.of(make(MLP().parameters())) is None
    assert FusedAdam.of(optimizer) is not None
    optimizer.register_step_pre_hook(lambda *_: None)
    assert FusedAdam.of(optimizer) is None


def test_an_execution_on_the_cpu_trains_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    used = []

    class Spy(execution.Execution):
        def __call__(self, *arguments: Any) -> Any:
            used.append((type(self.forward), type(self.adam)))
            return super().__call__(*arguments)

    monkeypatch.setattr("src.model.exact.Execution", Spy)
    answer = cli("fit", "--model.steps_per_execution", "4", "--trainer.max_epochs", "1")

    assert (answer.code, answer.err) == (0, "")
    assert set(used) == {(Dense, FusedAdam)}
