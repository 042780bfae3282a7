"""What the inspection costs: seconds of the main job with and without it, bytes of what it writes.

``python -m benchmarks.inspection`` measures and writes ``benchmarks/results/inspection.json`` (about two minutes on two
idle cores). Whole processes, with and without in turns, medians of five; beside them the seconds inside the callback
itself, which other processes on the machine disturb less than the difference of two long runs.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "inspection.json"
REPEATS = 5
SHORT = ["--trainer.limit_train_batches", "3", "--trainer.limit_val_batches", "1", "--model.steps_per_execution", "1"]


def timed(hook: Callable[..., None], seconds: list[float]) -> Callable[..., None]:
    """Return a hook that also notes how long it takes."""

    def run(*arguments: Any) -> None:
        start = time.perf_counter()
        hook(*arguments)
        seconds.append(time.perf_counter() - start)

    return run


def fit_once(words: list[str]) -> None:
    """Run in a process of its own: train, and print the seconds inside the callback."""
    from src.cli.main import main as cli
    from src.inspection.callback import Inspection

    seconds: list[float] = []
    for name in ("on_train_start", "on_train_epoch_start", "on_fit_end"):
        setattr(Inspection, name, timed(getattr(Inspection, name), seconds))
    if cli(["fit", "--config", "configs/mlp.yaml", *words]):
        raise SystemExit("training failed")
    print(sum(seconds))


def fit(*flags: str) -> dict[str, float]:
    """Run the main job; return its seconds and the bytes that TensorBoard reads."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "benchmarks.inspection", "--once", "--trainer.default_root_dir", place]
        start = time.perf_counter()
        done = subprocess.run([*command, *flags], stdout=subprocess.PIPE, text=True, check=True)
        wall = time.perf_counter() - start
        run = Path(place) / "lightning_logs" / "version_0"
        return {
            "process_seconds": wall,
            "callback_seconds": float(done.stdout.splitlines()[-1]),
            "events_bytes": sum(path.stat().st_size for path in run.glob("events.*")),
            "projector_bytes": sum(path.stat().st_size for path in run.glob("projector/*/*")),
        }


def main() -> None:
    """Measure and write the results."""
    import torch

    from src.data.sources import place_files

    place_files()
    ways: dict[str, list[dict[str, float]]] = {"with": [], "without": []}
    fit(*SHORT)  # the first one reads everything from the disk
    for _ in range(REPEATS):
        for name, rows in ways.items():
            rows.append(fit("--inspection.enabled", "true" if name == "with" else "false"))
    results: dict[str, object] = {"cores": os.cpu_count(), "torch": torch.__version__}
    for name, rows in ways.items():
        results[name] = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        results[f"{name}, each process"] = [row["process_seconds"] for row in rows]
    # what is written does not depend on the number of batches
    hundred = fit("--trainer.max_epochs", "100", *SHORT)
    results["100 epochs"] = {key: value for key, value in hundred.items() if key.endswith("bytes")}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--once"]:
        words, sys.argv = sys.argv[2:], sys.argv[:1]
        fit_once(words)
    else:
        main()
