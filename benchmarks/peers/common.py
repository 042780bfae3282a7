"""What the peers share, so that all do the same work and tell of it alike: the data, the clock, the flags."""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

VAL_SIZE = 12_000


def read(kind: str, data_dir: Path = Path("data/MNIST/raw")) -> np.ndarray:
    """Map the training ``images`` ``(N, 784)`` or ``labels`` ``(N,)``, uint8; the last 12,000 validate."""
    rank, header, shape = {"images": (3, 16, (-1, 784)), "labels": (1, 8, (-1,))}[kind]
    return np.memmap(data_dir / f"train-{kind}-idx{rank}-ubyte", np.uint8, "c", header).reshape(shape)


class Clock:
    """Notes when the first optimizer step and every epoch were done, and prints it as one line of JSON.

    Seconds count from the start of the process: who starts it writes the time into ``BENCHMARK_STARTED``.
    """

    def __init__(self) -> None:
        self.started = float(os.environ.get("BENCHMARK_STARTED", time.time()))
        self.first_step = 0.0
        self.epochs: list[float] = []
        self.val_accs: list[float] = []

    def step(self) -> None:
        """Note an optimizer step; only the first one matters."""
        if not self.first_step:
            self.first_step = time.time()

    def epoch(self, val_acc: float | None = None) -> None:
        """Note the end of an epoch: training, validation and whatever belongs to it."""
        self.epochs.append(time.time())
        self.val_accs += [] if val_acc is None else [val_acc]

    def report(self, **more: float) -> None:
        """Print the seconds of each epoch (the first from its first step on), the start-up and val/acc."""
        starts = [self.first_step, *self.epochs]
        seconds = [end - start for start, end in zip(starts, self.epochs, strict=False)]
        figures = {"epoch_seconds": seconds, "first_step_seconds": self.first_step - self.started}
        if self.val_accs:
            figures |= {"val/acc": self.val_accs[-1], "val_accs": self.val_accs}
        print(f"\n{json.dumps(figures | more)}", flush=True)  # a progress bar may be open on this line


def options(description: str) -> argparse.ArgumentParser:
    """Return the flags that several peers have; each honours those that it needs."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data_dir", type=Path, default=Path("data/MNIST/raw"), help="the folder of the IDX files")
    parser.add_argument("--batch_size", type=int, default=200)
    parser.add_argument("--hidden_units", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of weights and order, where a peer has one")
    parser.add_argument("--uint8", action="store_true", help="leave the images as they are in the file")
    return parser
