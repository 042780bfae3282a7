"""The teacher that a fit asks for: found, compared with the student's data, and made a part of its loss."""

from inspect import signature
from pathlib import Path
from typing import NoReturn

from jsonargparse import Namespace

from src.common.errors import UsageError
from src.data.datamodule import MNISTDataModule
from src.model.distillation import Distillation
from src.runs.recipe import plain
from src.runs.trained import Trained

FLAG = "--distillation.teacher"


def find_teacher(request: Namespace, root: Path, before: tuple[str | None, str]) -> Trained | None:
    """Load the teacher, if there shall be one, and note its file in the request.

    Args:
        request: The parsed arguments of ``fit``.
        root: The folder that holds ``lightning_logs``.
        before: The file and the SHA-256 of the teacher with which a training that goes on was begun; None and nothing
            without one.
    """
    settings = request.distillation
    if settings.teacher is None:
        for name in ("temperature", "weight"):
            default = signature(Distillation).parameters[name].default
            if settings[name] != default and before[0] is None:
                raise UsageError(f"--distillation.{name} needs a teacher: give {FLAG} too.")
            settings[name] = default  # the checkpoint had a teacher, and now there shall be none
        return None
    if settings.teacher in ("best", "last"):
        raise UsageError(
            f"{FLAG} {settings.teacher}: name its file or its run folder; the newest run is soon the student's own."
        )
    try:
        teacher = Trained.load(settings.teacher, root)
    except UsageError as error:
        raise UsageError(str(error).replace("`ckpt_path`", FLAG)) from error
    settings.teacher = str(teacher.checkpoint)
    if before[0] == settings.teacher and before[1] != teacher.sha256:
        raise UsageError(
            f"{FLAG} {settings.teacher} has changed since this training was begun: name a copy of the teacher as it "
            "was, or start a new run."
        )
    return teacher


def refuse_other_pixels(teacher: Trained, data: MNISTDataModule) -> None:
    """Refuse a teacher with other classes, images or normalization than the student's, whose images it will see."""
    if teacher.classes != data.classes or teacher.image_shape != data.image_shape:
        _refuse(teacher, "dataset")
    if (teacher.network.mean, teacher.network.std) != (data.mean_std or (0.0, 1.0)):
        _refuse(teacher, "normalization")
    if teacher.network.deskew != data.deskew:
        _refuse(teacher, "deskew")


def _refuse(teacher: Trained, name: str) -> NoReturn:
    raise UsageError(
        f"{FLAG} {teacher.checkpoint} was trained with --data.{name} {teacher.recipe['data'].get(name)}: "
        "train the student with the same, or name another teacher."
    )


def distillation(teacher: Trained, request: Namespace) -> Distillation:
    """Return the teacher's share in the loss, computed in the precision of the teacher's own training."""
    return Distillation(
        teacher.network.network,
        teacher.sha256,
        bf16=teacher.recipe.get("trainer", {}).get("precision") == "bf16-mixed",
        **plain(request.distillation),
    )
