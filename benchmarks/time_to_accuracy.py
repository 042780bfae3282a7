"""How long until the network is right on 97.5, 98, 99 and 99.3 % of the validation images?

``python -m benchmarks.time_to_accuracy`` runs every program ten times, each with another seed (the slow recipe three
times), in turn, writes ``benchmarks/results/time_to_accuracy.json`` run by run, keeps what is there, and writes the
documents' tables (about twenty minutes on two cores); ``--table`` writes the tables alone. Seconds count from the start
of the process, and again from its first optimizer step; an accuracy counts when the epoch that reached it is over, with
whatever belongs to an epoch there. The peers train the notebook's recipe for ``EPOCHS``.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

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


FLOAT32, BFLOAT16 = "this project, `configs/mlp.yaml`", "this project, `configs/mlp.yaml` in bf16-mixed"
# what it is called -> how it is run, and how many times
RUNS: dict[str, tuple[Callable[[int], Figures], int]] = {
    "this project, `configs/fast_98.yaml`": (fit("configs/fast_98.yaml"), 10),
    FLOAT32: (fit("configs/mlp.yaml", f"--trainer.max_epochs={EPOCHS[1]}"), 10),
    BFLOAT16: (fit("configs/mlp.yaml", f"--trainer.max_epochs={EPOCHS[1]}", "--trainer.precision=bf16-mixed"), 10),
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
    """Return the documents' table of seconds."""
    rows = ["| seconds to `val/acc` | " + " | ".join(f"{100 * accuracy:g} %" for accuracy in ACCURACIES) + " | runs |"]
    rows += ["|---" * (len(ACCURACIES) + 2) + "|"]
    rows += [f"| {name} | {' | '.join(cells(runs))} | {len(runs)} |" for name, runs in recorded.items()]
    return "\n".join(rows)


def precisions(recorded: dict[str, list[Figures]]) -> str:
    """Return the table of the same training in float32 and with products in bfloat16."""
    rows = ["| `configs/mlp.yaml` | steady epoch | `val/acc` after 10 epochs | after 20 | runs |", "|---" * 5 + "|"]
    for name, precision in ((FLOAT32, "float32"), (BFLOAT16, "`--trainer.precision bf16-mixed`")):
        runs = recorded[name]
        steady = statistics.median(statistics.median(figures["epoch_seconds"][2:]) for figures in runs)
        accuracies = [[figures["val_accs"][epoch - 1] for figures in runs] for epoch in (10, 20)]
        shown = [f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}" for values in accuracies]
        rows.append(f"| {precision} | {steady:.2f} s | {' | '.join(shown)} | {len(runs)} |")
    return "\n".join(rows)


def tables(content: dict[str, Any]) -> dict[str, str]:
    """Return the documents' tables and where they were made."""
    parts = ", ".join(f"{name} {number}" for name, number in content["versions"].items())
    place = f"{content['machine']['cores']} cores ({content['machine']['cpu']}), {parts}."
    runs = content["runs"]
    return {"time_to_accuracy": f"{table(runs)}\n\n{place}", "precisions": precisions(runs)}


def main() -> None:
    """Measure, or only make the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only write the tables from recorded results")
    if not parser.parse_args().table:
        content: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"runs": {}}
        content |= {"machine": machine(), "versions": versions(peers=True)}
        for seed in range(1, 11):
            for name, (job, times) in RUNS.items():
                runs = content["runs"].setdefault(name, [])
                if len(runs) < min(seed, times):
                    runs.append(job(seed))
                    print(name, seed, runs[-1]["val_accs"][-1], flush=True)
                    RESULTS.write_text(json.dumps(content) + "\n")
    write_tables(tables(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
