"""What the model takes from data, which it does not know."""

from typing import Protocol

from torch import Tensor

from src.common.errors import UsageError


class Batch(Protocol):
    """What the model takes from a batch, whatever else it has."""

    @property
    def images(self) -> Tensor:
        """``(B, C, H, W)`` float32."""

    @property
    def labels(self) -> Tensor:
        """``(B,)`` int64."""

    @property
    def sizes(self) -> list[int]:
        """For each optimizer step how many of the samples are for it."""

    @property
    def global_sizes(self) -> list[int]:
        """How many each step has on all ranks together."""


def refuse_foreign(batch: object) -> None:
    """Raise UsageError if a batch comes from another loader, such as a notebook's own."""
    if not hasattr(batch, "global_sizes"):
        raise UsageError("the batches must come from this project's data module: give datamodule=data, no images.")
