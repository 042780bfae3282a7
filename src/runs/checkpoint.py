"""A checkpoint: read once, checked, with properties instead of keys."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, isfinite
from pathlib import Path
from typing import Any, NoReturn

from torch import Tensor

from src.common.errors import UsageError
from src.common.output import warn
from src.common.yaml_text import LARGEST_CONFIG, LONGEST_VALUE
from src.data.datasets import is_class_name
from src.runs.archive import DamagedCheckpointError, load_safely, shown, values
from src.runs.folder import find_checkpoint

PREFIX = "net."  # of the network's weights
DATA = "MNISTDataModule"  # where Lightning keeps the state of the data module
# the parts that must be finite; elsewhere infinity may be intended, as in ReduceLROnPlateau
FINITE = ("state_dict", "optimizer_states", "current_model_state", "train_sums")
LARGEST_NUMBER = 1 << 63
LARGEST_SIDE = 1 << 16  # of an image
MISSING = object()


@dataclass(frozen=True)
class Checkpoint:
    """A file that ``fit`` wrote, with its content, on the CPU, and its SHA-256.

    ``is_previous`` says that it is the ``last.prev.ckpt`` that replaces a damaged ``last.ckpt``.
    """

    path: Path
    content: dict[str, Any]
    sha256: str
    is_previous: bool = False

    @classmethod
    def find(cls, request: str, root: Path, training: bool = False) -> "Checkpoint":
        """Find and read the checkpoint of ``--ckpt_path``; in training a run folder stands for its ``last.ckpt``.

        If that, or ``last``, is damaged, read ``last.prev.ckpt`` in its place and say so on stderr.
        """
        path = find_checkpoint(request, root, "last" if training else "best")
        previous = path.with_name("last.prev.ckpt")
        try:
            return cls.read(path)
        except DamagedCheckpointError:
            if path.name != "last.ckpt" or path == Path(request) or not previous.is_file():
                raise
            checkpoint = replace(cls.read(previous), is_previous=True)
            warn(f"{path} is damaged; using {previous}, the checkpoint before it.")
            return checkpoint

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """Read and check a checkpoint without running code from it."""
        checkpoint = cls(path, *load_safely(path))
        if not isinstance(checkpoint.content, dict):
            checkpoint.refuse("it holds no settings")
        checkpoint._check_recipe()
        for part in FINITE:
            for value in values(checkpoint.content.get(part)):
                if isinstance(value, Tensor) and value.is_floating_point() and not value.isfinite().all():
                    checkpoint.refuse(f"its {part} has values that are not finite")
        if DATA in checkpoint.content:
            _ = checkpoint.mean_std, checkpoint.deskew
        return checkpoint

    def refuse(self, problem: str) -> NoReturn:
        """Raise UsageError: the file is not a checkpoint of this project."""
        raise UsageError(
            f"{self.path} is not a checkpoint of this project: {problem}; name one that fit wrote with this code, or "
            "use this one with the code that wrote it."
        )

    def _check_recipe(self) -> None:
        """Refuse settings that are not plain values, or so many or long that a parser would hang."""
        for number, value in enumerate(values(self._at("config", kind=dict))):
            is_text = isinstance(value, str) and len(value) <= LONGEST_VALUE and "\0" not in value
            is_number = isinstance(value, int | float) and (isinstance(value, float) or abs(value) < LARGEST_NUMBER)
            if not (value is None or is_text or is_number) or number > LARGEST_CONFIG:
                self.refuse(f"its config has {shown(value)} where a setting should be")

    def _at(self, *keys: str | int, kind: type) -> Any:
        """Return the value at nested keys; refuse a missing value or another type."""
        value: Any = self.content
        for number, key in enumerate(keys, start=1):
            try:
                value = value[key]
            except (LookupError, TypeError):
                self.refuse(f"its {'.'.join(map(str, keys[:number]))} is missing")
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.refuse(f"its {'.'.join(map(str, keys))} is {shown(value)}")
        return value

    @property
    def recipe(self) -> dict[str, Any]:
        """The settings of its training, as plain values."""
        return dict(self.content["config"])

    def setting(self, part: str, name: str, default: Any = MISSING) -> Any:
        """Return a setting of the recipe, or the default; without a default refuse a missing setting."""
        settings = self.recipe.get(part)
        if isinstance(settings, dict) and name in settings:
            return settings[name]
        return self.refuse(f"its config.{part}.{name} is missing") if default is MISSING else default

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The network's weights by name."""
        state = self._at("state_dict", kind=dict)
        return {name.removeprefix(PREFIX): value for name, value in state.items() if str(name).startswith(PREFIX)}

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in the order of the logits."""
        names = self._at(DATA, "classes", kind=list)
        if not names or not all(map(is_class_name, names)):
            self.refuse(f"its {DATA}.classes are no names")
        return tuple(names)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of the images that its network takes, (H, W) or (H, W, C)."""
        shape = self._at(DATA, kind=dict).get("image_shape", [28, 28])  # version 0.1.0 had no other shape
        if not isinstance(shape, list) or not all(type(size) is int and 0 < size < LARGEST_SIDE for size in shape):
            self.refuse(f"its {DATA}.image_shape is {shown(shape)}")
        return tuple(shape)

    @property
    def deskew(self) -> bool:
        """Whether its network takes deskewed digits."""
        deskew = self._at(DATA, kind=dict).get("deskew", False)  # version 0.1.0 had no such setting
        return deskew if isinstance(deskew, bool) else self.refuse(f"its {DATA}.deskew is {shown(deskew)}")

    @property
    def mean_std(self) -> tuple[float, float] | None:
        """The normalization in units of pixel / 255; None for pixel / 255 alone."""
        match self._at(DATA, kind=dict).get("mean_std"):
            case None:
                return None
            case [float() | int() as mean, float() | int() as std] if isfinite(mean) and 0 < std < inf:
                return float(mean), float(std)
            case statistics:
                return self.refuse(f"its {DATA}.mean_std is {shown(statistics)}")

    @property
    def records(self) -> list[dict[str, float]]:
        """The metrics of each finished epoch by name."""
        callbacks = self.content.get("callbacks", {})
        if isinstance(callbacks, dict) and "History" not in callbacks:  # as in weights/, or saved in a notebook
            raise UsageError(f"{self.path} holds a network and not a run's training: name a run's checkpoint.")
        records: list[Any] = self._at("callbacks", "History", "epochs", kind=list)
        for record in records:
            if not isinstance(record, dict) or not all(isinstance(value, int | float) for value in record.values()):
                self.refuse("its callbacks.History.epochs has values that are no metrics")
        return records

    @property
    def epochs(self) -> int:
        """How many epochs were finished."""
        return len(self.records)

    @property
    def steps(self) -> int:
        """How many optimizer steps were taken."""
        return int(self._at("global_step", kind=int))

    @property
    def is_within_epoch(self) -> bool:
        """Whether it was saved before the end of an epoch."""
        return bool(self.epochs == self._at("epoch", kind=int))

    @property
    def batches_done(self) -> int:
        """How many batches of an unfinished epoch are done."""
        of_0_1_0 = ("loops", "fit_loop", "state_dict", "combined_loader", 0)
        where = () if "batches_done" in self.content else of_0_1_0
        return int(self._at(*where, "batches_done", kind=int))

    @property
    def best_score(self) -> float:
        """The value of ``checkpoints.monitor`` in the best epoch of its run."""
        return float(self._at("callbacks", "Checkpoints", "best_score", kind=float))

    @property
    def teacher(self) -> tuple[str | None, str]:
        """The file and the SHA-256 of the teacher; None and an empty string without a teacher."""
        return self.setting("distillation", "teacher", None), str(self.content.get("teacher_sha256", ""))
