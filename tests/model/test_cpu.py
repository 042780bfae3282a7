from collections.abc import Iterator

import pytest
import torch

from src.model.cpu import speed_up_cpu, use_onednn
from src.model.mlp import MLP


@pytest.fixture(autouse=True)
def precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def test_products_are_not_rounded() -> None:
    torch.manual_seed(0)
    images, weights = torch.rand(200, 784), torch.rand(256, 784)
    use_onednn()

    exact = (images.double() @ weights.double().T).float()
    assert torch.allclose(images @ weights.T, exact, rtol=1e-6, atol=0)


def test_where_products_would_be_rounded_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "full", lambda shape, value: torch.ones(shape))  # what bfloat16 makes of the value
    use_onednn()

    assert torch.get_float32_matmul_precision() == "highest"


def test_a_precision_that_was_chosen_stays() -> None:
    torch.set_float32_matmul_precision("high")
    use_onednn()

    assert torch.get_float32_matmul_precision() == "high"


def test_steps_do_not_look_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # as importing Lightning does
    speed_up_cpu()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: pytest.fail("the driver was asked"))

    net = MLP()
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    net(torch.rand(2, 28, 28)).sum().backward()
    optimizer.step()
