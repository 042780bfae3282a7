"""How fast is the main job on one GPU?

``python -m benchmarks.gpu`` (two minutes on a machine with a GPU) writes ``benchmarks/results/gpu.json`` and the
documents' table; ``--table`` writes the table alone, from the recorded results. All runs are in one process, in turn:
start-up is that of the CPU, and ``make bench`` measures it.
"""

import argparse
import io
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks.documents import write_tables
from benchmarks.peers import bare_torch
from benchmarks.processes import CLOCK, Figures, machine, versions
from benchmarks.speed import check, epoch
from src.cli.main import main as run_cli

RESULTS = Path(__file__).parent / "results" / "gpu.json"
OVERLAY = ["--config", "configs/gpu.yaml"]
QUIET = ["--inspection.enabled", "false"]
TEN_EPOCHS_SECONDS, TIMES_BARE = 1.0, 8


def told(job: Callable[[], int | None]) -> Figures:
    """Run a job in this process and return the figures that it prints.

    Raises:
        SystemExit: If it failed.
    """
    with redirect_stdout(io.StringIO()) as output:
        code = job()
    if code:
        raise SystemExit(f"{output.getvalue()}\nfailed with {code}")
    lines = [line for line in output.getvalue().splitlines() if line.startswith('{"epoch_seconds"')]
    figures: Figures = json.loads(lines[-1])
    return figures


def ours(*words: str) -> Figures:
    """Run the main job."""
    with tempfile.TemporaryDirectory() as folder:
        place = ["--trainer.default_root_dir", folder]
        return told(lambda: run_cli(["fit", "--config", "configs/mlp.yaml", *place, *CLOCK, *words]))


def bare() -> Figures:
    """Run the bare loop with everything on the GPU."""
    with mock.patch.object(sys, "argv", ["bare_torch", "--device", "cuda"]):
        return told(bare_torch.main)


GRAPH, BARE = "this project, `configs/gpu.yaml`", "bare PyTorch loop, images on the GPU"
RUNS: dict[str, Callable[[], Figures]] = {
    GRAPH: lambda: ours(*OVERLAY),
    "the same without pictures": lambda: ours(*OVERLAY, *QUIET),
    "the same without the graph": lambda: ours(*OVERLAY, *QUIET, "--model.cuda_graph", "false"),
    "this project, `configs/mlp.yaml` alone": lambda: ours(*QUIET),
    "this project, on the processor beside it": lambda: ours(*QUIET, "--trainer.accelerator", "cpu"),
    BARE: bare,
}


def after_first_step(figures: Figures) -> float:
    """Return the seconds of the ten epochs from the first step on, everything included."""
    return sum(figures["epoch_seconds"])


def measure(repeats: int) -> dict[str, Any]:
    """Run all in turn, once to warm up and then ``repeats`` times."""
    rounds = []
    for number in range(repeats + 1):
        rounds.append({name: check(name, job()) for name, job in RUNS.items()})
        print(f"round {number} of {repeats}: {json.dumps(rounds[-1])}", flush=True)
    cores = machine()["cores"]
    return {
        "gpu": torch.cuda.get_device_name(),
        "cores": cores,
        "versions": versions(peers=False),
        "rounds": rounds[1:],
    }


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the documents' table and where it was made."""
    rounds = results["rounds"]
    rows = ["| medians | steady epoch | ten epochs after the first step | `val/acc` |", "|---|---|---|---|"]
    for name in RUNS:
        steady, ten = (statistics.median(take(one[name]) for one in rounds) for take in (epoch, after_first_step))
        accuracy = statistics.median(one[name]["val/acc"] for one in rounds)
        rows.append(f"| {name} | {1000 * steady:.0f} ms | {ten:.2f} s | {accuracy:.4f} |")
    ten = statistics.median(after_first_step(one[GRAPH]) for one in rounds)
    times = statistics.median(epoch(one[BARE]) / epoch(one[GRAPH]) for one in rounds)
    rows += ["", "| `configs/gpu.yaml` | | target | |", "|---|---|---|---|"]
    for what, value, target, met in (
        ("ten epochs after the first step", f"{ten:.2f} s", f"{TEN_EPOCHS_SECONDS:.2f} s", ten <= TEN_EPOCHS_SECONDS),
        ("times as fast as the bare loop, by epoch", f"{times:.1f}", f"{TIMES_BARE}", times >= TIMES_BARE),
    ):
        rows.append(f"| {what} | {value} | {target} | {'met' if met else '**missed**'} |")
    parts = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    rows += ["", f"{results['gpu']} beside {results['cores']} cores, {parts}; {len(rounds)} runs each."]
    return {"gpu": "\n".join(rows)}


def main() -> None:
    """Measure, or only write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only write the documents' table from recorded results")
    parser.add_argument("--repeats", type=int, default=5, help="rounds after the one that warms up")
    flags = parser.parse_args()
    if not flags.table:
        if not torch.cuda.is_available():
            raise SystemExit("There is no NVIDIA GPU here to measure.")
        RESULTS.write_text(json.dumps(measure(flags.repeats), indent=1) + "\n")
    write_tables(tables(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
