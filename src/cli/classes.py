"""The user's classes for network, loss and metrics: each is tried on a few images before a run is made."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from jsonargparse import Namespace
from jsonargparse.typing import register_type
from torch import Tensor
from torchmetrics import Metric

from src.common.errors import UsageError, cause_of
from src.data.datamodule import MNISTDataModule
from src.model.classifier import Classifier

IMAGES = 4  # to try a class on
PARTS = slice(None), slice(1), slice(1, None)  # of a batch: all images, the first, the rest
# so that a config can give a tensor as a list, such as a loss's class weights
register_type(Tensor, serializer=Tensor.tolist, deserializer=partial(torch.tensor, dtype=torch.float32))


def sum_losses(request: Namespace) -> None:
    """Set the loss's ``reduction`` to sum; training divides by the global batch size, as Keras does."""
    if (loss := request.model.loss) is None:
        return
    if "reduction" not in loss.get("init_args", {}):
        raise UsageError(
            f"--model.loss {loss.class_path} has no argument `reduction`, so it cannot be summed over a batch: name "
            "a loss of torch.nn, or add the argument to yours."
        )
    loss.init_args.reduction = "sum"


def refuse_classes(request: Namespace, model: Classifier, data: MNISTDataModule) -> None:
    """Refuse a network that does not fit the data, and a loss or a metric that depends on the number of devices."""
    if not isinstance(request.model.network, str):
        refuse_network(model, data)
    logits = torch.randn(IMAGES, len(data.classes), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(IMAGES) % len(data.classes)
    if request.model.loss is not None:
        refuse_loss(model, logits, labels)
    for name, metric in model.val_metrics.items(keep_base=True):
        if name not in ("loss", "acc"):
            refuse_metric(metric, logits, labels)


@contextmanager
def trying(name: str, inputs: str) -> Iterator[None]:
    """Raise UsageError, which begins with ``name``, if the class that is called inside fails on the inputs."""
    try:
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):  # torch warns of shapes that it then refuses
            yield
    except Exception as error:  # whatever the class raises
        raise UsageError(
            f"{name} cannot take {inputs} ({cause_of(error)}): mend its arguments, or name another."
        ) from error


def refuse_network(model: Classifier, data: MNISTDataModule) -> None:
    """Refuse a network that does not return one logit per class, tried on two images."""
    images = data.normalize(next(iter(data.splits.values())).images[:2])
    with trying("--model.network", f"images {tuple(images.shape)}"):
        shape = tuple(model.net.eval()(images).shape)
    model.net.train()
    if shape != (len(images), len(data.classes)):
        raise UsageError(
            f"--model.network returns {shape} for {len(images)} images, but there are {len(data.classes)} classes: "
            "set its arguments to fit the data."
        )


def refuse_loss(model: Classifier, logits: Tensor, labels: Tensor) -> None:
    """Refuse a loss whose value for a batch is not the sum of its values for parts of the batch."""
    name = f"--model.loss {type(model.criterion).__name__}"
    with trying(name, shapes(logits, labels)):
        whole, first, rest = (model.criterion(logits[part], labels[part]) for part in PARTS)
    if not isinstance(whole, Tensor) or whole.dim() or not is_same(whole, first + rest):
        raise UsageError(f"{name} is not the sum over a batch's images, so devices cannot share a batch: name another.")


def refuse_metric(metric: Metric, logits: Tensor, labels: Tensor) -> None:
    """Refuse a metric that is not one number, or whose states do not add up over devices."""
    name = f"--model.metrics: {type(metric).__name__}"
    metrics = [deepcopy(metric) for _ in PARTS]
    with trying(name, shapes(logits, labels)):
        for copy, part in zip(metrics, PARTS, strict=True):
            copy.update(logits[part], labels[part])
        value: Any = metrics[0].compute()
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise UsageError(f"{name} is not one number: set its `average`, or name another.")
    states: list[Any] = [copy.metric_state for copy in metrics]
    whole, first, rest = states
    if not all(is_same(whole[key], first[key] + rest[key]) for key in whole):
        raise UsageError(f"{name} cannot be added up over devices: name another.")


def shapes(logits: Tensor, labels: Tensor) -> str:
    """Return the shapes of logits and labels as text."""
    return f"logits {tuple(logits.shape)} with labels ({len(labels)},)"


def is_same(value: Tensor, other: Tensor) -> bool:
    """Say whether two float32 sums are equal up to the order of summation."""
    return torch.allclose(value, other, rtol=1e-4, atol=1e-5)
