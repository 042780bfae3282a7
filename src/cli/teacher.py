"""The teacher that a fit asks for: loaded, compared with the student's data, and made a part of the loss."""

from inspect import signature
from pathlib import Path

from jsonargparse import Namespace

from src.common.errors import UsageError
from src.data.datamodule import MNISTDataModule
from src.data.splits import UNIT
from src.model.distillation import Distillation
from src.runs.recipe import plain
from src.runs.trained import Trained

FLAG = "--distillation.teacher"


def find_teacher(request: Namespace, root: Path, before: tuple[str | None, str]) -> Trained | None:
    """Load the requested teacher, if any, and write its file into the request.

    ``before`` is the file and the SHA-256 of the resumed training's teacher, or None and an empty string.
    """
    settings = request.distillation
    if settings.teacher is None:
        for name in ("temperature", "weight"):
            default = signature(Distillation).parameters[name].default
            if settings[name] != default and before[0] is None:
                raise UsageError(f"--distillation.{name} needs a teacher: give {FLAG} too.")
            settings[name] = default  # the checkpoint had a teacher, and the request drops it
        return None
    if settings.teacher in ("best", "last"):
        raise UsageError(
            f"{FLAG} {settings.teacher}: name its file or its run folder; the newest run will be the student's own."
        )
    try:
        teacher = Trained.load(settings.teacher, root)
    except UsageError as error:
        way_out = "train it with fit --config configs/cnn_teacher.yaml and give its run folder"
        sentence = str(error).replace("give a checkpoint, a run folder, best or last", way_out)
        raise UsageError(sentence.replace("`ckpt_path`", FLAG)) from error
    settings.teacher = str(teacher.checkpoint)
    if before[0] == settings.teacher and before[1] != teacher.sha256:
        raise UsageError(
            f"{FLAG} {settings.teacher} has changed since this training was begun: name a copy of the teacher as it "
            "was, or start a new run."
        )
    return teacher


def refuse_other_pixels(teacher: Trained, data: MNISTDataModule) -> None:
    """Refuse a teacher whose classes, images or normalization differ from the student's: both see the same images."""
    network = teacher.network
    for name, is_other in (
        ("dataset", (teacher.classes, teacher.image_shape) != (data.classes, data.image_shape)),
        ("normalization", (network.mean, network.std) != (data.mean_std or UNIT)),
        ("deskew", network.deskew != data.deskew),
    ):
        if is_other:
            raise UsageError(
                f"{FLAG} {teacher.checkpoint} was trained with --data.{name} {teacher.recipe['data'].get(name)}: "
                "train the student with the same, or name another teacher."
            )


def distillation(teacher: Trained, request: Namespace) -> Distillation:
    """Return the teacher's share in the loss, computed in the precision that the teacher was trained in."""
    return Distillation(
        teacher.network.network,
        teacher.sha256,
        bf16=teacher.recipe.get("trainer", {}).get("precision") == "bf16-mixed",
        **plain(request.distillation),
    )
