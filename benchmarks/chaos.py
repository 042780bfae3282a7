"""Does a run survive its process? It is killed at a chosen call, resumed, and compared with an undisturbed one.

``python -m benchmarks.chaos`` kills a training 160 times by SIGKILL, at random calls of every kind in ``CALLS``, goes
on with ``fit --ckpt_path last`` (or from the start where it died before its first checkpoint), and compares weights,
optimizer, metrics and TensorBoard's curves with those of the same training left alone, bit for bit. It writes
``benchmarks/results/chaos.json`` and the documents' table (about eight minutes on two cores).

``python -m benchmarks.restarts`` adds how torchrun's restarts do.

Each process is forked from this one, which has imported everything and computed nothing, so that a kill costs little.
"""

import argparse
import json
import os
import random
import signal
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.documents import write_tables
from src.callbacks import curves
from src.callbacks.history import History
from src.cli.main import main as cli
from src.data.checks import DEFAULT_ROOT
from src.data.datamodule import MNISTDataModule
from src.data.sources import place_files
from src.model.classifier import Classifier
from src.runs.folder import Run
from tests.faults.processes import in_child, watched

RESULTS = Path(__file__).parent / "results" / "chaos.json"
KILLS = 160
RAW = DEFAULT_ROOT / "MNIST" / "raw"
TRAIN, TEST = 600, 100
# what may be going on when the process dies -> the call just before which it does
CALLS: dict[str, tuple[Any, str]] = {
    "start-up": (MNISTDataModule, "setup"),
    "making the run folder": (Run, "lock"),
    "a training step": (Classifier, "training_step"),
    "validation": (Classifier, "validation_step"),
    "logging an epoch": (TensorBoardLogger, "log_metrics"),
    "adding to the curves": (curves, "append"),
    "flushing a file": (os, "fsync"),
    "between writing a file and its name": (Path, "replace"),
    "a second name for a checkpoint": (os, "link"),
    "the end of training": (History, "on_fit_end"),
}
VARIANTS = {
    "single steps": ["--model.steps_per_execution", "1", "--checkpoints.every_n_steps", "4"],
    "executions of 4": ["--model.steps_per_execution", "4", "--checkpoints.every_n_steps", "4"],
    "dropout": ["--model.dropout", "0.5", "--checkpoints.every_n_steps", "6"],
    "distortion, average, schedule": [
        *["--data.distortion.rotation", "15", "--data.distortion.elastic", "1.5", "--checkpoints.every_n_steps", "5"],
        *["--ema_decay", "0.9", "--model.weight_decay", "0.01", "--model.warmup_steps", "8", "--model.cosine", "true"],
    ],
}


def small_data(folder: Path) -> list[str]:
    """Write the first images of MNIST as IDX files and return the words that train on them."""
    for part, count in (("train", TRAIN), ("t10k", TEST)):
        for kind, header, item in (("images-idx3", 16, 784), ("labels-idx1", 8, 1)):
            content = (RAW / f"{part}-{kind}-ubyte").read_bytes()
            values = content[header : header + count * item]
            (folder / f"{part}-{kind}-ubyte").write_bytes(content[:4] + count.to_bytes(4) + content[8:header] + values)
    data = ["--data.data_dir", str(folder), "--data.val_size", "120", "--data.batch_size", "32"]
    return [*data, "--model.hidden_units", "[32]", "--trainer.max_epochs", "4", "--trainer.accelerator", "cpu"]


def outcome(root: Path) -> dict[str, Any]:
    """Return what must be equal: both checkpoints' weights, optimizer and best score, metrics, curves."""
    run = max((root / "lightning_logs").glob("version_*"), key=lambda path: int(path.name.removeprefix("version_")))
    result: dict[str, Any] = {}
    for name in ("best", "last"):
        checkpoint = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)
        kept = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch")
        averaged = ("current_model_state", "averaging_state")
        result[name] = {key: checkpoint[key] for key in (*kept, *averaged) if key in checkpoint}
        result[name] |= checkpoint["callbacks"]["Checkpoints"]
    timed = ("seconds", "samples_per_second", "trainer/samples_per_second")
    epochs = json.loads((run / "result.json").read_text())["epochs"]
    result["epochs"] = [{name: value for name, value in epoch.items() if name not in timed} for epoch in epochs]
    events = EventAccumulator(str(run))
    events.Reload()
    names = [name for name in events.Tags()["scalars"] if name not in timed]
    result["curves"] = {name: [(point.step, point.value) for point in events.Scalars(name)] for name in names}
    return result


def equal(one: Any, other: Any) -> bool:
    """Compare nested values bit for bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and one.equal(other)
    if isinstance(one, dict):
        same_keys = isinstance(other, dict) and one.keys() == other.keys()
        return same_keys and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def survives(words: list[str], root: Path, kill: tuple[str, int], reference: dict[str, Any]) -> str:
    """Kill a training, go on, compare; return ``equal`` or what went wrong."""
    root.mkdir(parents=True)
    place, log = ["--trainer.default_root_dir", str(root)], root / "log"
    if in_child(lambda: watched(lambda: cli(["fit", *words, *place]), CALLS, kill=kill), log) != -signal.SIGKILL:
        return "was not killed"
    any_checkpoint = list(root.glob("lightning_logs/*/checkpoints/last.ckpt"))
    again = ["fit", "--ckpt_path", "last", *place] if any_checkpoint else ["fit", *words, *place]
    if in_child(lambda: cli(again), log):
        return "did not go on: " + log.read_text().strip().splitlines()[-1]
    return comparison(outcome(root), reference)


def comparison(result: dict[str, Any], reference: dict[str, Any]) -> str:
    """Return ``equal``, or in what one outcome differs from another."""
    different = [name for name in reference if not equal(reference[name], result[name])]
    if "curves" in different:
        different += [name for name, points in reference["curves"].items() if result["curves"].get(name) != points]
    return f"differs in {', '.join(different)}" if different else "equal"


def study(words: list[str], root: Path, kills: int, seed: int) -> dict[str, dict[str, dict[str, int]]]:
    """Kill each variant at random calls of each kind in turn; return how often each outcome was seen.

    Args:
        words: What trains on small data in a few epochs.
        root: An empty folder for the runs.
        kills: How many processes to kill.
        seed: Which calls.
    """
    choice = random.Random(seed)
    outcomes: dict[str, dict[str, Counter[str]]] = {}
    moments = [(variant, call) for variant in VARIANTS for call in CALLS]
    choice.shuffle(moments)
    references: dict[str, tuple[dict[str, Any], dict[str, int]]] = {}
    for number in range(kills):
        variant, call = moments[number % len(moments)]
        if variant not in references:
            references[variant] = reference_of([*words, *VARIANTS[variant]], root / variant.replace(" ", "_"))
        reference, counts = references[variant]
        kill = (call, choice.randint(1, counts[call]))
        verdict = survives([*words, *VARIANTS[variant]], root / f"kill{number}", kill, reference)
        outcomes.setdefault(variant, {}).setdefault(call, Counter())[verdict] += 1
        print(f"{variant}, before call {kill[1]} of {counts[call]} of {call}: {verdict}", flush=True)
    return {name: {call: dict(counter) for call, counter in calls.items()} for name, calls in outcomes.items()}


def reference_of(words: list[str], root: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Train undisturbed; return the outcome and how often each call was made."""
    root.mkdir(parents=True)
    counts = root / "counts.json"
    place = ["--trainer.default_root_dir", str(root)]
    if in_child(lambda: watched(lambda: cli(["fit", *words, *place]), CALLS, counts), root / "log"):
        raise SystemExit((root / "log").read_text())
    return outcome(root), json.loads(counts.read_text())


def record(outcomes: dict[str, dict[str, dict[str, int]]]) -> None:
    """Keep outcomes beside those of other variants."""
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(before | outcomes, indent=1) + "\n")


def tables(outcomes: dict[str, dict[str, dict[str, int]]]) -> dict[str, str]:
    """Return the documents' table: how many of the kills left the same run, per moment and variant."""
    rows = [f"| killed by SIGKILL during | {' | '.join(VARIANTS)} |", "|---|" + "---|" * len(VARIANTS)]
    for call in CALLS:
        counters = [outcomes[variant].get(call, {}) for variant in VARIANTS]
        cells = [f"{counter.get('equal', 0)} of {sum(counter.values())}" for counter in counters]
        rows.append(f"| {call} | {' | '.join(cells)} |")
    return {"chaos": "\n".join(rows)}


def main() -> None:
    """Run the study, or only make its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--table", action="store_true", help="only write the documents' table from recorded results")
    flags = parser.parse_args()
    if not flags.table:
        place_files()
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "data"
            data.mkdir()
            outcomes = study(small_data(data), Path(folder), flags.kills, seed=0)
        record(outcomes)
    write_tables(tables(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
