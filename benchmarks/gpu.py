"""How fast is the main job on one GPU, and is it still the same training?

``python -m benchmarks.gpu`` (two minutes on a machine with a GPU) writes ``benchmarks/results/gpu.json`` and the
documents' table; ``--table`` writes the table alone, from the recorded results.
"""

import argparse
import json
import statistics
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer

from benchmarks.documents import write_tables
from benchmarks.peers.lightning_clock import LightningClock
from benchmarks.processes import HERE, MAIN_JOB, Figures, machine, run, run_main_job, versions
from benchmarks.speed import check, epoch, figure

RESULTS = Path(__file__).parent / "results" / "gpu.json"
OVERLAY = ["--config", "configs/gpu.yaml"]
GRAPH, STEPS, PLAIN = (
    "this project, `configs/gpu.yaml`",
    "the same without the graph",
    "this project, `configs/mlp.yaml`",
)
BARE = "bare PyTorch loop, images on the GPU"
STEPS_OF_AN_EPOCH = 240
SEEDS, AT_ONCE = 10, 8
TEN_EPOCHS_SECONDS, STEP_MICROSECONDS, TIMES_BARE = 1.0, 40, 8

RUNS = {
    GRAPH: partial(run_main_job, *OVERLAY),
    STEPS: partial(run_main_job, *OVERLAY, "--model.cuda_graph", "false"),
    PLAIN: partial(run_main_job, "--trainer.accelerator", "gpu"),
    BARE: partial(run, [HERE, "-m", "benchmarks.peers.bare_torch", "--device", "cuda"]),
}


class ReplayClock(LightningClock):
    """The clock, and the GPU's own around every replay of a CUDA graph."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the events around a replay."""
        self.replays: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        replay = torch.cuda.CUDAGraph.replay

        def timed(graph: torch.cuda.CUDAGraph) -> None:
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            replay(graph)
            end.record()
            self.replays.append((start, end))

        torch.cuda.CUDAGraph.replay = timed

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the seconds of a replay too."""
        torch.cuda.synchronize()
        self.clock.epoch()
        seconds = statistics.median(start.elapsed_time(end) for start, end in self.replays) / 1000
        self.clock.report(float(trainer.callback_metrics[self.val_acc]), replay_seconds=seconds)


def after_first_step(figures: Figures) -> float:
    """Return the seconds of the ten epochs from the first step on, everything included."""
    return sum(figures["epoch_seconds"])


def microseconds_in_graph() -> float:
    """Return what an optimizer step takes within a replay, on the GPU."""
    clock = ["--trainer.callbacks", "benchmarks.gpu.ReplayClock", "--model.steps_per_execution", "48"]
    figures = run([*MAIN_JOB, *OVERLAY, *clock, "--trainer.default_root_dir", "/tmp/replays"])
    return 1e6 * float(figures["replay_seconds"]) / 48


def accuracies() -> dict[str, list[float]]:
    """Return val/acc after ten epochs of every seed, captured and in single steps."""
    quiet = ["--inspection.enabled", "false"]
    ways = {"captured": [*OVERLAY, *quiet], "single": [*OVERLAY, *quiet, "--model.cuda_graph", "false"]}
    ways["single"] += ["--model.steps_per_execution", "1"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = {name: [pool.submit(run_main_job, *words, "--seed_everything", str(seed)) for seed in range(SEEDS)]
                for name, words in ways.items()}  # fmt: skip
        return {name: [job.result()["val/acc"] for job in each] for name, each in jobs.items()}


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the documents' table and where it was made."""
    rounds = results["rounds"]
    rows = ["| medians | steady epoch | ten epochs after the first step | start-up | whole command | `val/acc` |"]
    rows.append("|---|---|---|---|---|---|")
    for name in RUNS:
        steady, ten, startup, whole, accuracy = (
            statistics.median(take(each[name]) for each in rounds)
            for take in (epoch, after_first_step, figure("first_step_seconds"), figure("whole_seconds"),
                         figure("val/acc"))
        )  # fmt: skip
        cells = f"{1000 * steady:.0f} ms | {ten:.2f} s | {startup:.1f} s | {whole:.1f} s | {accuracy:.4f}"
        rows.append(f"| {name} | {cells} |")
    ten = statistics.median(after_first_step(each[GRAPH]) for each in rounds)
    times = statistics.median(epoch(each[BARE]) / epoch(each[GRAPH]) for each in rounds)
    step = results["microseconds_in_graph"]
    rows += ["", "| | | target | |", "|---|---|---|---|"]
    for what, value, target, met in (
        ("ten epochs after the first step", f"{ten:.2f} s", f"{TEN_EPOCHS_SECONDS:.2f} s", ten <= TEN_EPOCHS_SECONDS),
        ("an optimizer step inside the graph", f"{step:.0f} µs", f"{STEP_MICROSECONDS} µs", step <= STEP_MICROSECONDS),
        ("times as fast as the bare loop, by epoch", f"{times:.1f}", f"{TIMES_BARE}", times >= TIMES_BARE),
    ):
        rows.append(f"| {what} | {value} | {target} | {'met' if met else '**missed**'} |")
    means = {name: f"{statistics.mean(found):.4f} (sd {statistics.stdev(found):.4f})"
             for name, found in results["accuracy"].items()}  # fmt: skip
    seeds = len(results["accuracy"]["captured"])
    rows += ["", f"`val/acc` over {seeds} seeds: captured {means['captured']}, in single steps {means['single']}. "
             f"{results['gpu']}, {results['machine']['cores']} cores, "
             f"{', '.join(f'{name} {number}' for name, number in results['versions'].items())}."]  # fmt: skip
    return {"gpu": "\n".join(rows)}


def main() -> None:
    """Measure, or only write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only write the documents' table from recorded results")
    parser.add_argument("--repeats", type=int, default=3, help="rounds after the one that warms up")
    asked = parser.parse_args()
    if not asked.table:
        if not torch.cuda.is_available():
            raise SystemExit("There is no NVIDIA GPU here to measure.")
        rounds = []
        for number in range(asked.repeats + 1):
            rounds.append({name: check(name, job()) for name, job in RUNS.items()})
            print(f"round {number} of {asked.repeats}: {json.dumps(rounds[-1])}", flush=True)
        content = {
            "gpu": torch.cuda.get_device_name(), "machine": machine(), "versions": versions(peers=False),
            "rounds": rounds[1:], "microseconds_in_graph": microseconds_in_graph(), "accuracy": accuracies(),
        }  # fmt: skip
        RESULTS.write_text(json.dumps(content, indent=1) + "\n")
    write_tables(tables(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
