"""One of two processes is killed, torchrun starts both again: does the job by itself end as the undisturbed one?

``python -m benchmarks.restarts`` kills ten times, at random steps, compares as ``benchmarks.chaos`` does, and adds the
outcomes to its results (about three minutes on two cores).
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from benchmarks import chaos
from src.data.sources import place_files

PROCESSES, MAX_RESTARTS = 2, 3
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={PROCESSES}"]


class Kill(Callback):
    """Kills this process when a step begins, once for each moment.

    Args:
        moments: Pairs of a step and a rank.
        folder: Where a file tells that a moment has been.
    """

    def __init__(self, moments: list[list[int]], folder: str) -> None:
        self.moments = moments
        self.folder = Path(folder)

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Look whether it is time."""
        for number, moment in enumerate(self.moments):
            done = self.folder / str(number)
            if [trainer.global_step, trainer.global_rank] == moment and not done.exists():
                done.touch()
                os.kill(os.getpid(), signal.SIGKILL)


def words_to_kill(folder: Path, *moments: tuple[int, int]) -> list[str]:
    """Return the words that kill a rank when a step begins, for each pair of them."""
    folder.mkdir(parents=True)
    return [
        "--trainer.callbacks+=benchmarks.restarts.Kill",
        f"--trainer.callbacks.moments={json.dumps(moments)}",
        f"--trainer.callbacks.folder={folder}",
    ]


def train(words: list[str], root: Path) -> int:
    """Run the job to its end; return torchrun's exit code."""
    command = [*TORCHRUN, f"--max-restarts={MAX_RESTARTS}", "-m", "src.cli", "fit", *words]
    with (root / "log").open("w") as log:
        place = ["--trainer.default_root_dir", str(root)]
        variables = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.run([*command, *place], stdout=log, stderr=log, env=variables).returncode


def study(words: list[str], root: Path, kills: int, seed: int) -> dict[str, int]:
    """Kill a process at random steps, each in a job of its own; return how often each outcome was seen.

    Args:
        words: What trains on small data in a few epochs.
        root: A folder for the runs.
        kills: How many jobs.
        seed: Which steps.
    """
    choice = random.Random(seed)
    (root / "undisturbed").mkdir()
    if train(words, root / "undisturbed"):
        raise SystemExit((root / "undisturbed" / "log").read_text())
    reference = chaos.outcome(root / "undisturbed")
    steps = reference["last"]["global_step"]
    seen: Counter[str] = Counter()
    for number in range(kills):
        place, moment = root / f"restart{number}", (choice.randrange(steps), choice.randrange(PROCESSES))
        ended = train([*words, *words_to_kill(place / "kills", moment)], place) == 0
        verdict = chaos.comparison(chaos.outcome(place), reference) if ended else "did not end"
        seen[verdict if (place / "kills" / "0").exists() else "was not killed"] += 1
        print(f"rank {moment[1]}, before step {moment[0]} of {steps}: {verdict}", flush=True)
    return dict(seen)


def main() -> None:
    """Run the study and record it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    kills = parser.parse_args().kills
    place_files()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "data").mkdir()
        words = [*chaos.small_data(root / "data"), *chaos.VARIANTS["single steps"], "--inspection.enabled", "false"]
        chaos.record({"two processes, restarted by torchrun": {"a training step": study(words, root, kills, seed=0)}})


if __name__ == "__main__":
    main()
