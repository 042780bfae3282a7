"""TensorBoard's curves, written in the logging thread so that it sees a full disk, and the columns in HParams."""

import re
from collections.abc import Collection, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from src.common.events import Events, name_after_all
from src.common.files import append
from src.runs.recipe import dotted, policy_of

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

NAMES = {"seed_everything": "seed", "trainer.max_epochs": "max_epochs"}  # columns with another name than their key


def tag(name: str) -> str:
    """Return the tag of a metric, in a group that TensorBoard does not sort before ``train/``."""
    return re.sub("^best/val/", "val/best_", name) if "/" in name else f"trainer/{name}"


def hyperparameters(config: dict[str, Any], swept: Collection[str]) -> dict[str, Any]:
    """Return a recipe's columns in HParams, including all keys that a sweep varies.

    HParams at first shows only five columns, in alphabetical order, so there should be few.
    """
    settings = dotted(config)
    columns = {}
    for key, value in settings.items():
        policy = policy_of(key)
        has_teacher = not key.startswith("distillation.") or settings["distillation.teacher"]
        if key == "model.lr" and settings.get("optimizer.class_path"):  # it has its own lr
            continue
        shown = policy.hparams if policy else "no"
        is_on = (shown == "yes" and value is not None) or (shown == "on" and value and has_teacher)
        if is_on or key in swept:
            name = re.sub(r"^(model|data)\.|\.class_path$", "", key.replace(".init_args.", "."))
            columns[NAMES.get(name, name.replace(".", "/"))] = value
    return columns


class Curves(TensorBoardLogger):
    """Lightning's TensorBoard logger, except that ``save`` writes everything or nothing, in this thread.

    TensorBoard drops older events of the run from step ``first_step`` on.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        super().__init__(folder.parent, name="", version=folder.name, default_hp_metric=False)
        self.folder = folder
        self.first_step = first_step
        self._events: Events | None = None
        self._file: Path | None = None

    @property
    @rank_zero_experiment
    def experiment(self) -> "SummaryWriter":
        """The writer that collects events in memory."""
        return self._open().writer

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics({tag(name): value for name, value in metrics.items()}, step)

    @rank_zero_only
    def save(self) -> None:
        """Write the events since the last save; an OSError leaves the file as it was."""
        self._open().write(self._append)

    def _open(self) -> Events:
        if self._events is None:
            self._events = Events(purge_step=self.first_step)
            self._events.write(self._append)  # at once, so that its name sorts before this process's other files
        return self._events

    def _append(self, name: str, content: bytes) -> None:
        self._file = self._file or self.folder / name_after_all(self.folder, name)
        append(self._file, content)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the rest and free the memory; after a failure, such as a full disk, ignore a second OSError."""
        if self._events is not None:
            with nullcontext() if status == "success" else suppress(OSError):
                self.save()
            self._events.close()
            self._events = self._file = None
