"""Folders in which a file is damaged, missing, of another kind or a link to nothing."""

import gzip
from collections.abc import Callable
from pathlib import Path

import torch

from src.data.checks import TRAIN_LABELS
from src.data.idx import write_idx

Prepare = Callable[[Path], None]


def config(text: str) -> Prepare:
    def prepare(folder: Path) -> None:
        (folder / "bad.yaml").write_text(text)

    return prepare


def not_utf8(folder: Path) -> None:
    (folder / "bad.yaml").write_bytes("model:\n  lr: 0.1  # d\u00e9faut\n".encode("latin-1"))


def link(name: str, target: str) -> Prepare:
    return lambda folder: (folder / name).symlink_to(target)


def cut(name: str) -> Prepare:
    def prepare(folder: Path) -> None:
        (folder / "digits" / name).write_bytes((folder / "digits" / name).read_bytes()[:-5])

    return prepare


def no_labels(folder: Path) -> None:
    (folder / "digits" / TRAIN_LABELS).unlink()


def few_labels(folder: Path) -> None:
    write_idx(folder / "digits" / TRAIN_LABELS, torch.zeros(3, dtype=torch.uint8))


def packed(folder: Path) -> None:
    (folder / "packed").mkdir()
    for path in (folder / "digits").iterdir():
        (folder / "packed" / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))


def truncated_checkpoint(folder: Path) -> None:
    torch.save({"state_dict": {}, "config": {}, "MNISTDataModule": {}}, folder / "my.ckpt")
    (folder / "my.ckpt").write_bytes((folder / "my.ckpt").read_bytes()[:-100])


def foreign_checkpoint(folder: Path) -> None:
    torch.save({"state_dict": {"weight": torch.zeros(3)}}, folder / "my.ckpt")


def no_best(folder: Path) -> None:
    (folder / "lightning_logs" / "version_0" / "checkpoints" / "best.ckpt").unlink()


def blocked_folder(folder: Path) -> None:
    (folder / "lightning_logs").write_text("a file where the runs should go")
