"""Do more devices make it faster? A step of two processes here beside that of one.

``python -m benchmarks.devices`` measures, writes ``benchmarks/results/devices.json`` and the documents' table (about
five minutes on two cores); ``--table`` only writes the table.

Beside it the exchange of a gradient alone: what a message and a byte take between two processes over gloo.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.documents import write_tables
from benchmarks.processes import MAIN_JOB, machine, run_fit, versions
from tests.faults.processes import fork, free_port

RESULTS = Path(__file__).parent / "results" / "devices.json"
TRAIN = 48_000
POINTS = ({"batch_size": 200, "hidden_units": 256}, {"batch_size": 4800, "hidden_units": 256},
          {"batch_size": 200, "hidden_units": 1024})  # fmt: skip
EPOCHS, REPEATS, SEEDS = 3, 2, 3
LARGEST = 8_000_000  # floats of the largest all-reduce
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def measure_all_reduce() -> dict[str, float]:
    """Measure two processes over gloo: latency of a message in seconds, bandwidth in bytes a second."""
    with tempfile.TemporaryDirectory() as folder:
        path, port = Path(folder) / "seconds", free_port()
        for child in [fork(partial(_reduce, rank, port, path), Path(folder) / "log") for rank in range(2)]:
            if os.waitpid(child, 0)[1]:
                raise SystemExit((Path(folder) / "log").read_text())
        small, large = json.loads(path.read_text())
    return {"latency": small / 2, "bandwidth": 4 * LARGEST / (large - small)}


def _reduce(rank: int, port: int, path: Path) -> int:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    medians = []
    for floats, times in ((1, 2000), (LARGEST, 30)):
        values, seconds = torch.zeros(floats), []
        for _ in range(times):
            start = time.perf_counter()
            torch.distributed.all_reduce(values)
            seconds.append(time.perf_counter() - start)
        medians.append(statistics.median(seconds))
    torch.distributed.destroy_process_group()
    if rank == 0:
        path.write_text(json.dumps(medians))
    return 0


def step_seconds(batch_size: int, hidden_units: int, devices: int) -> float:
    """Run the main job without validation and return the median seconds of a step."""
    words = ["--data.batch_size", str(batch_size), "--model.hidden_units", f"[{hidden_units}]"]
    words += ["--trainer.limit_val_batches", "0", "--trainer.max_epochs", str(EPOCHS)]
    words += ["--trainer.callbacks.val_acc", "train/acc"]
    words += ["--trainer.accelerator", "cpu", "--trainer.devices", str(devices), "--inspection.enabled", "false"]
    seconds: list[float] = run_fit(MAIN_JOB, *words, environment=ONE_THREAD)["epoch_seconds"]
    return statistics.median(seconds[1:]) / -(-TRAIN // batch_size)


def measure_point(point: dict[str, int]) -> dict[str, Any]:
    """Measure a step of one process and of two."""
    timings: dict[str, list[float]] = {"one": [], "two": []}
    for _ in range(REPEATS):
        for devices, seconds in enumerate(timings.values(), 1):
            seconds.append(step_seconds(**point, devices=devices))
    medians = {name: statistics.median(seconds) for name, seconds in timings.items()}
    print(point, medians, flush=True)
    return {**point, **medians}


def accuracy(factor: int) -> dict[str, Any]:
    """Train with a batch ``factor`` times as large and lr by the square-root rule; return each seed's best val/acc."""
    accuracies = []
    for seed in range(SEEDS):
        words = ["--data.batch_size", str(200 * factor), "--model.lr", str(0.001 * factor**0.5)]
        figures = run_fit(MAIN_JOB, *words, "--seed_everything", str(seed), "--inspection.enabled", "false")
        accuracies.append(figures["val/acc"])
    return {"factor": factor, "val/acc": accuracies}


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the documents' tables."""
    link = results["link"]
    lines = ["| µs a step | one process | two processes |", "|---|---|---|"]
    for point in results["points"]:
        cells = " | ".join(f"{1e6 * point[name]:,.0f}" for name in ("one", "two"))
        lines.append(f"| batch {point['batch_size']:,}, {point['hidden_units']:,} units | {cells} |")
    lines += ["", "| batch | lr | `val/acc` after ten epochs |", "|---|---|---|"]
    for row in results["accuracy"]:
        mean, factor = statistics.mean(row["val/acc"]), row["factor"]
        lines.append(f"| {200 * factor:,} | {0.001 * factor**0.5:g} | {mean:.4f} |")
    here = results["machine"]
    lines += [
        "",
        f"Measured: {link['latency'] * 1e6:.0f} µs a message and {link['bandwidth'] / 1e9:.1f} GB/s between two "
        f"processes on {here['cores']} cores ({here['cpu']}).",
    ]
    return {"devices": "\n".join(lines)}


def main() -> None:
    """Measure and write, or only write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only write the documents' table from recorded results")
    if not parser.parse_args().table:
        content = {
            "machine": machine(),
            "versions": versions(peers=False),
            "link": measure_all_reduce(),
            "points": [measure_point(point) for point in POINTS],
            "accuracy": [accuracy(factor) for factor in (1, 4, 16)],
        }
        RESULTS.write_text(json.dumps(content, indent=1) + "\n")
    write_tables(tables(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
