from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from src.common.errors import UsageError
from src.model.distillation import Distillation
from src.model.mlp import MLP

IMAGES, LABELS = torch.rand(6, 28, 28, generator=torch.Generator().manual_seed(1)), torch.arange(6)


@pytest.fixture
def nets() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    return MLP(hidden_units=[8]), MLP(hidden_units=[16], dropout=0.5)


def loss_of(student: nn.Module, teacher: Distillation) -> torch.Tensor:
    logits = student(IMAGES)
    return teacher(IMAGES, logits, functional.cross_entropy(logits, LABELS, reduction="sum"))


@pytest.mark.parametrize(("temperature", "weight"), [(1.0, 0.5), (2.0, 0.9), (4.0, 1.0)])
def test_the_loss_is_that_of_the_paper(nets: tuple[nn.Module, nn.Module], temperature: float, weight: float) -> None:
    student, teacher = nets
    found = loss_of(student, Distillation(teacher, "", temperature=temperature, weight=weight)).detach()

    asked, given = (net.eval()(IMAGES).double().detach() for net in nets)
    soft = (given / temperature).softmax(1)
    divergence = (soft * (soft.log() - (asked / temperature).softmax(1).log())).sum()
    hard = -asked.log_softmax(1)[torch.arange(6), LABELS].sum()
    assert float(found) == pytest.approx(float((1 - weight) * hard + weight * temperature**2 * divergence), rel=1e-3)


def test_gradients_flow_into_the_student_alone(nets: tuple[nn.Module, nn.Module]) -> None:
    student, teacher = nets
    before = [weight.clone() for weight in teacher.parameters()]
    loss_of(student, Distillation(teacher, "")).backward()

    assert all(weight.grad is not None and weight.grad.any() for weight in student.parameters())
    assert all(weight.grad is None for weight in teacher.parameters())
    assert all(map(torch.equal, teacher.parameters(), before))


def test_a_student_that_is_its_teacher_has_nothing_to_learn_from_it(nets: tuple[nn.Module, nn.Module]) -> None:
    student = nets[0]
    teacher = MLP(hidden_units=[8])
    teacher.load_state_dict(student.state_dict())
    loss_of(student, Distillation(teacher, "", weight=1.0)).backward()

    assert all(weight.grad.abs().max() < 1e-5 for weight in student.parameters())


def test_the_teacher_drops_nothing(nets: tuple[nn.Module, nn.Module]) -> None:
    student, teacher = nets
    distillation = Distillation(teacher, "")

    assert loss_of(student, distillation) == loss_of(student, distillation)


@pytest.mark.parametrize(
    ("flag", "value"), [("temperature", 0.0), ("temperature", float("nan")), ("weight", 0.0), ("weight", 1.5)]
)
def test_options_out_of_range_are_refused_by_name(nets: tuple[nn.Module, nn.Module], flag: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"`{flag}` must be"):
        Distillation(nets[1], "", **{flag: value})


def test_a_student_in_double_precision_has_its_loss_in_double(nets: tuple[nn.Module, nn.Module]) -> None:
    student, teacher = nets
    logits = student(IMAGES).double()
    loss = Distillation(teacher, "", weight=1.0)(IMAGES, logits, logits.new_zeros(()))

    soft, asked = ((each.double() / 2).log_softmax(1) for each in (teacher.eval()(IMAGES), logits))
    assert loss.dtype == torch.float64
    assert float(loss.detach()) == pytest.approx(float((4 * soft.exp() * (soft - asked)).sum().detach()), rel=1e-9)
