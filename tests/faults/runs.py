"""Checkpoints of runs, changed where they lie: other values in them, or a flipped bit."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

BEST_FILE = Path("lightning_logs/version_0/checkpoints/best.ckpt")
WEIGHT = "state_dict/net.linear1.weight"
GONE = object()


def last(run: Path) -> Path:
    return run / "checkpoints" / "last.ckpt"


def change(path: Path, key: str, value: object) -> None:
    """Put a value at a place of a checkpoint, such as ``config/data/dataset``, or take away what is there."""
    content: Any = torch.load(path, weights_only=True)
    part = content
    *way, name = [int(step) if step.isdigit() else step for step in key.split("/")]
    for step in way:
        part = part[step]
    if value is GONE:
        del part[name]
    else:
        part[name] = value
    torch.save(content, path)


def best_with(key: str, value: object) -> Callable[[Path], None]:
    """Return the function that does so to the best checkpoint of the run in a working folder."""
    return lambda folder: change(folder / BEST_FILE, key, value)


def huge_weights(path: Path) -> None:
    """Make all weights of the first layer finite numbers whose sums are not."""
    change(path, WEIGHT, torch.full((256, 784), 3e38))


def flip(path: Path) -> None:
    """Change one bit in the middle, which is one of a weight's."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def no_runs(folder: Path) -> None:
    """Take away the runs of a working folder."""
    shutil.rmtree(folder / "lightning_logs")
