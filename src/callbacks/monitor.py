"""The metric that decides the best epoch of a run."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from jsonargparse import Namespace

from src.common.errors import UsageError
from src.model.metrics import StageMetrics

Record = dict[str, float]


@dataclass(frozen=True)
class Monitor:
    """A validation metric and its direction; of equal epochs the earliest is the best."""

    name: str = "val/acc"
    mode: Literal["min", "max"] | None = None  # None: the smallest value of a loss is the best, else the largest

    @classmethod
    def of(cls, request: Namespace) -> "Monitor":
        """Return the monitor in the parsed arguments of ``fit``."""
        return cls(request.checkpoints.monitor, request.checkpoints.mode)

    @property
    def is_min(self) -> bool:
        """Whether smaller values are better."""
        return (self.mode or ("min" if self.name.endswith("loss") else "max")) == "min"

    @property
    def worst(self) -> float:
        """The value that every other value is better than."""
        return float("inf") if self.is_min else float("-inf")

    def is_better(self, value: float, other: float) -> bool:
        """Say whether a value is better than another value."""
        return value < other if self.is_min else value > other

    def best(self, records: Iterable[Record]) -> Record | None:
        """Return the record of the best validated epoch; None if no epoch was validated."""
        validated = [record for record in records if self.name in record]
        best = min if self.is_min else max
        return best(validated, key=lambda record: record[self.name]) if validated else None

    def refuse(self, metrics: StageMetrics) -> None:
        """Refuse an unknown metric, and without a mode a metric that is better when smaller."""
        if self.name not in metrics.names:
            names = ", ".join(metrics.names)
            raise UsageError(f"--checkpoints.monitor {self.name}: validation has {names}; name one of them.")
        if self.mode is None and not self.is_min and metrics[self.name].higher_is_better is False:
            raise UsageError(f"--checkpoints.monitor {self.name} is better when smaller: add --checkpoints.mode min.")
