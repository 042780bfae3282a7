"""How long until the network is right on 97.5, 98, 99 and 99.3 % of the validation images?

``python -m benchmarks.time_to_accuracy`` runs every program ten times, each with another seed (the slow recipe three
times), in turn, writes ``benchmarks/results/time_to_accuracy.json`` and the documents' table (about fifteen minutes on
two cores); ``--table`` writes the table alone. Seconds count from the start of the process, and again from its first
optimizer step; an accuracy counts when the epoch that reached it is over, with whatever belongs to an epoch there. The
peers train the notebook's recipe for ``EPOCHS``.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

from benchmarks.documents import write_tables
from benchmarks.processes import HERE, PEERS, Figures, machine, run, run_fit, versions

RESULTS = Path(__file__).parent / "results" / "time_to_accuracy.json"
ACCURACIES = (0.975, 0.98, 0.99, 0.993)
EPOCHS = ("--epochs", "20")
UNTIL_THE_HIGHEST = (
    "--trainer.callbacks+=EarlyStopping",
    "--trainer.callbacks.monitor=val/acc",
    "--trainer.callbacks.mode=max",
    f"--trainer.callbacks.stopping_threshold={ACCURACIES[-1]}",
    "--trainer.callbacks.patience=300",
)


def fit(config: str, *words: str) -> Callable[[int], Figures]:
    """Return what trains a recipe of this project with a seed, without pictures."""
    return lambda seed: run_fit(config, "--inspection.enabled=false", f"--seed_everything={seed}", *words)


def peer(python: str, name: str, *words: str, **environment: str) -> Callable[[int], Figures]:
    """Return what runs one of the peers' scripts with a seed; Keras draws its own."""
    command = [python, "-m", f"benchmarks.peers.{name}", *EPOCHS, *words]
    return lambda seed: run([*command, "--seed", str(seed)], environment)


# what it is called -> how it is run, and how many times
RUNS: dict[str, tuple[Callable[[int], Figures], int]] = {
    "this project, `configs/fast_98.yaml`": (fit("configs/fast_98.yaml"), 10),
    "this project, `configs/mlp.yaml`": (fit("configs/mlp.yaml", f"--trainer.max_epochs={EPOCHS[1]}"), 10),
    "this project, `configs/mlp_99.yaml`": (fit("configs/mlp_99.yaml", *UNTIL_THE_HIGHEST), 3),
    "bare PyTorch loop": (peer(HERE, "bare_torch"), 10),
    "JAX, an epoch as one scan": (peer(PEERS, "jax_scan"), 10),
    "Keras on TensorFlow, tuned": (peer(PEERS, "keras_mlp", "--tuned", KERAS_BACKEND="tensorflow"), 10),
}


def seconds_to(accuracy: float, figures: Figures) -> float:
    """Return the seconds from the first step to the end of the epoch that reached it; infinity if none did."""
    ends = accumulate(figures["epoch_seconds"])
    return next((end for end, acc in zip(ends, figures["val_accs"], strict=True) if acc >= accuracy), float("inf"))


def cells(runs: list[Figures]) -> Iterator[str]:
    """Yield a program's median seconds to each accuracy, from the start of the process and from the first step."""
    for accuracy in ACCURACIES:
        steps = [seconds_to(accuracy, figures) for figures in runs]
        starts = [figures["first_step_seconds"] + seconds for figures, seconds in zip(runs, steps, strict=True)]
        reached = sum(seconds < float("inf") for seconds in steps)
        if reached * 2 > len(runs):
            yield f"{statistics.median(starts):.1f} ({statistics.median(steps):.1f})"
        else:
            yield f"{reached} of {len(runs)} runs" if reached else ""


def table(recorded: dict[str, list[Figures]]) -> str:
    """Return the documents' table."""
    rows = ["| seconds to `val/acc` | " + " | ".join(f"{100 * accuracy:g} %" for accuracy in ACCURACIES) + " | runs |"]
    rows += ["|---" * (len(ACCURACIES) + 2) + "|"]
    rows += [f"| {name} | {' | '.join(cells(runs))} | {len(runs)} |" for name, runs in recorded.items()]
    return "\n".join(rows)


def main() -> None:
    """Measure, or only make the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only write the table from recorded results")
    if not parser.parse_args().table:
        runs: dict[str, list[Figures]] = {name: [] for name in RUNS}
        for seed in range(1, 11):
            for name, (job, times) in RUNS.items():
                if seed <= times:
                    runs[name].append(job(seed))
                    print(name, seed, runs[name][-1]["val_accs"][-1], flush=True)
        content = {"machine": machine(), "versions": versions(peers=True), "runs": runs}
        RESULTS.write_text(json.dumps(content) + "\n")
    content = json.loads(RESULTS.read_text())
    place = f"{content['machine']['cores']} cores ({content['machine']['cpu']}), " + ", ".join(
        f"{name} {number}" for name, number in content["versions"].items()
    )
    write_tables({"time_to_accuracy": f"{table(content['runs'])}\n\n{place}."})


if __name__ == "__main__":
    main()
