"""Classes of a config's own for the network, the loss and the metrics: tried on a few images before a run is made."""

import warnings
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

TRIED = 4  # logits
# such as the weights of classes
register_type(Tensor, serializer=Tensor.tolist, deserializer=partial(torch.tensor, dtype=torch.float32))


def sum_losses(request: Namespace) -> None:
    """Set a loss's ``reduction`` to the sum, which training divides by the batch's size on all devices, as Keras does.

    Args:
        request: The parsed arguments of a subcommand.

    Raises:
        UsageError: If the loss has no such argument.
    """
    if (loss := request.model.loss) is None:
        return
    if "reduction" not in loss.get("init_args", {}):
        raise UsageError(
            f"--model.loss {loss.class_path} has no argument `reduction`, so its sum over a batch cannot be had: name "
            "one of torch.nn's, or give yours the argument."
        )
    loss.init_args.reduction = "sum"


def refuse_classes(request: Namespace, model: Classifier, data: MNISTDataModule) -> None:
    """Refuse a network that does not fit the data, and a loss or a metric that is not the same on several devices.

    Args:
        request: The parsed arguments of a subcommand.
        model: What was made of them.
        data: It must be set up.

    Raises:
        UsageError: If there is one.
    """
    if not isinstance(request.model.network, str):
        refuse_network(model, data)
    logits = torch.randn(TRIED, len(data.classes), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(TRIED) % len(data.classes)
    if request.model.loss is not None:
        refuse_loss(model, logits, labels)
    for name, metric in model.val_metrics.items(keep_base=True):
        if name not in ("loss", "acc"):
            refuse_metric(metric, logits, labels)


def refuse_network(model: Classifier, data: MNISTDataModule) -> None:
    """Refuse a network that does not make a logit for each class of two of the images."""
    images = data.normalize(next(iter(data.splits.values())).images[:2])
    try:
        with torch.no_grad():
            shape = tuple(model.net.eval()(images).shape)
    except Exception as error:  # whatever the network makes of them
        raise UsageError(
            f"--model.network: it takes no images {tuple(images.shape)} ({cause_of(error)}): set its arguments to fit "
            "the data."
        ) from error
    finally:
        model.net.train()
    if shape != (len(images), len(data.classes)):
        raise UsageError(
            f"--model.network: it makes {shape} of {len(images)} images, and there are {len(data.classes)} classes: "
            "set its arguments to fit the data."
        )


def refuse_loss(model: Classifier, logits: Tensor, labels: Tensor) -> None:
    """Refuse a loss whose value for a batch is not the sum of those of the batch's parts."""
    name = f"--model.loss {type(model.criterion).__name__}"
    try:
        with warnings.catch_warnings(action="ignore"):  # of shapes that do not fit, which torch refuses next
            whole, one, rest = (model.criterion(logits[part], labels[part]) for part in parts())
    except Exception as error:  # whatever the class makes of them
        raise UsageError(
            f"{name} takes no logits {tuple(logits.shape)} with labels ({TRIED},) ({cause_of(error)}): mend its "
            "arguments, or name another."
        ) from error
    if not isinstance(whole, Tensor) or whole.dim() or not is_same(whole, one + rest):
        raise UsageError(f"{name} is not the sum over a batch's images, so devices could not share them: name another.")


def refuse_metric(metric: Metric, logits: Tensor, labels: Tensor) -> None:
    """Refuse a metric that is no number, or whose states on several devices do not add up to those on one."""
    name = f"--model.metrics: {type(metric).__name__}"
    whole, one, rest = (deepcopy(metric) for _ in range(3))
    try:
        for part, tried in zip(parts(), (whole, one, rest), strict=True):
            tried.update(logits[part], labels[part])
        value: Any = whole.compute()
    except Exception as error:  # whatever the class makes of them
        raise UsageError(
            f"{name} takes no logits {tuple(logits.shape)} with labels ({TRIED},) ({cause_of(error)}): mend its "
            "arguments, or name another."
        ) from error
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise UsageError(f"{name} is not one number: set its `average`, or name another.")
    states: Any = [tried.metric_state for tried in (whole, one, rest)]
    for key in states[0]:
        if not is_same(states[0][key], states[1][key] + states[2][key]):
            raise UsageError(f"{name} cannot be added up over devices: name another.")


def parts() -> tuple[slice, slice, slice]:
    """Return where all, the first and the other logits are."""
    return slice(None), slice(1), slice(1, None)


def is_same(value: Tensor, other: Tensor) -> bool:
    """Say whether two sums in float32 are the same but for their order."""
    return torch.allclose(value, other, rtol=1e-4, atol=1e-5)
