"""TensorBoard's curves, written so that the thread that logs meets a full disk, and its columns in HParams."""

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

NAMES = {"seed_everything": "seed", "trainer.max_epochs": "max_epochs"}  # of columns; the others are made of the keys


def tag(name: str) -> str:
    """Return the tag of a metric: TensorBoard sorts them, and ``train/`` and ``val/`` are looked for first."""
    return re.sub("^best/val/", "val/best_", name) if "/" in name else f"trainer/{name}"


def hyperparameters(config: dict[str, Any], swept: Collection[str]) -> dict[str, Any]:
    """Return the columns in HParams for a recipe; keys that a sweep varies are always among them.

    HParams shows five columns at first, by the alphabet, so the fewer the better.
    """
    settings = dotted(config)
    columns = {}
    for key, value in settings.items():
        policy = policy_of(key)
        has_teacher = not key.startswith("distillation.") or settings["distillation.teacher"]
        if key == "model.lr" and settings.get("optimizer.class_path"):  # which has another lr
            continue
        shown = policy.hparams if policy else "no"
        is_on = (shown == "yes" and value is not None) or (shown == "on" and value and has_teacher)
        if is_on or key in swept:
            name = re.sub(r"^(model|data)\.|\.class_path$", "", key.replace(".init_args.", "."))
            columns[NAMES.get(name, name.replace(".", "/"))] = value
    return columns


class Curves(TensorBoardLogger):
    """Lightning's TensorBoard logger, with one difference: ``save`` writes, in this thread, everything or nothing.

    TensorBoard ignores earlier events of the run from ``first_step`` on.
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
        """Write the events since the last time; after an OSError the file ends as it did before."""
        self._open().write(self._append)

    def _open(self) -> Events:
        if self._events is None:
            self._events = Events(purge_step=self.first_step)
            self._events.write(self._append)  # now, before anything else that this process shows has a name
        return self._events

    def _append(self, name: str, content: bytes) -> None:
        self._file = self._file or self.folder / name_after_all(self.folder, name)
        append(self._file, content)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the rest, and free the memory; after a failure, as of a full disk, no second failure is told."""
        if self._events is not None:
            with nullcontext() if status == "success" else suppress(OSError):
                self.save()
            self._events.close()
            self._events = self._file = None
