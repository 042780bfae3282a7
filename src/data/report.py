"""A look at a data set: ``python -m src.cli data``."""

from pathlib import Path

import torch

from src.common.drawing import sheet, to_png
from src.common.errors import UsageError
from src.common.files import refuse_place, sha256, write_atomic
from src.data.batches import Split
from src.data.datamodule import MNISTDataModule
from src.data.provenance import sources
from src.data.splits import mean_and_std, split_positions

SAMPLES = 10


def report(data: MNISTDataModule, output: Path) -> str:
    """Describe a data set, and write ten training samples of each class, a row per class, to a PNG file.

    A ``val_size`` that does not fit the training images is reported, and then there is no validation split.
    """
    refuse_place("output", output, ".png")
    splits, problem = _read(data)
    counts = {name: torch.bincount(split.labels, minlength=len(data.classes)) for name, split in splits.items()}
    width = max(len("class"), *map(len, data.classes)) + 2
    mean, std = mean_and_std(splits["train"])
    lines = [f"{data.dataset}: " + ", ".join(f"{int(count.sum()):,} {name}" for name, count in counts.items())]
    lines += [f"not split: {problem}"] if problem else []
    lines += ["", f"{'class':<{width}}" + "".join(f"{name:>8}" for name in counts)]
    for label, name in enumerate(data.classes):
        lines.append(f"{name:<{width}}" + "".join(f"{int(count[label]):>8,}" for count in counts.values()))
    lines += ["", f"training pixels / 255: mean {mean:.6f}, std {std:.6f}", ""]
    for path, source in sources(data).items():
        lines += [f"{sha256(path)}  {path}", f"    {source}"]
    write_atomic(output, _draw_sheet(splits["train"], data.classes))
    return "\n".join([*lines, "", f"{SAMPLES} samples of each class: {output}"])


def _read(data: MNISTDataModule) -> tuple[dict[str, Split], str]:
    """Return the splits by name, and the reason if the training images cannot be split as requested."""
    data.prepare_data()
    train, test = (data.located.read(part, data.memory_map) for part in ("train", "test"))
    try:
        members, val = split_positions(train.file_labels, data.val_size, data.split, data.fold, data.folds)
    except UsageError as error:  # data that cannot be trained on can still be looked at
        return {"train": train, "test": test}, str(error)
    return {"train": train._replace(members=members), "val": train._replace(members=val), "test": test}, ""


def _draw_sheet(split: Split, classes: tuple[str, ...]) -> bytes:
    """Draw the first samples of each class, a row per class, upright; return a PNG file."""
    tiles = torch.zeros(len(classes), SAMPLES, *split.file_images.shape[1:], dtype=torch.uint8)
    for label, row in enumerate(tiles):
        chosen = split.members[(split.labels == label).nonzero().flatten()[:SAMPLES]]
        row[: len(chosen)] = split.upright(chosen)
    captions = [[name] for name in classes for _ in range(SAMPLES)]
    return to_png(sheet(tiles.flatten(0, 1), captions, f"{SAMPLES} samples of each class", columns=SAMPLES, scale=2))
