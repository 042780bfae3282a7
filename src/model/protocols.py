"""The batch that the model needs, so that src.model does not depend on src.data."""

from typing import Protocol

from torch import Tensor

from src.common.errors import UsageError


class Batch(Protocol):
    """The part of a batch that the model needs."""

    @property
    def images(self) -> Tensor:
        """``(B, C, H, W)`` float32."""

    @property
    def labels(self) -> Tensor:
        """``(B,)`` int64."""

    @property
    def sizes(self) -> list[int]:
        """Number of samples of each optimizer step on this rank."""

    @property
    def global_sizes(self) -> list[int]:
        """Number of samples of each optimizer step on all ranks."""


def refuse_foreign(batch: object) -> None:
    """Raise UsageError if a batch comes from another loader, such as a notebook's own."""
    if not hasattr(batch, "global_sizes"):
        raise UsageError("the batches must come from this project's data module: give datamodule=data, not images.")
