"""What a sweep costs: thirty trials of the main job with pruning, by one worker and by two.

``python -m benchmarks.sweep`` measures, and writes ``benchmarks/results/sweep.json`` and the documents' table (about
three minutes on two idle cores); ``--trials 3 --epochs 2 --output FILE`` is the same in small. Beside the wall clock of
the whole command stand the seconds that a trial takes beyond its training (the seconds of its epochs), and the best
val/acc beside the plain recipe's.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.documents import write_tables
from benchmarks.processes import machine

RESULTS = Path(__file__).parent / "results" / "sweep.json"
MAIN_JOB = ["--config", "configs/mlp.yaml"]


def command(*words: str) -> float:
    """Run the command line in a process of its own; return its seconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "src.cli", *words], check=True)
    return time.perf_counter() - start


def read(path: Path) -> dict[str, Any]:
    """Return the result of a run."""
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def plain(place: str, epochs: str) -> float:
    """Return the val/acc of the recipe as it is."""
    command("fit", *MAIN_JOB, "--trainer.max_epochs", epochs, "--trainer.default_root_dir", place)
    accuracy: float = read(Path(place) / "lightning_logs" / "version_0" / "result.json")["best"]["val/acc"]
    return accuracy


def sweep(place: str, trials: str, epochs: str, workers: int) -> dict[str, Any]:
    """Run a sweep and return its figures."""
    from optuna import load_study
    from optuna.trial import TrialState

    job = [*MAIN_JOB, "--trainer.max_epochs", epochs, "--trainer.default_root_dir", place]
    space = ["--space", "configs/sweep.yaml", "--study", f"workers_{workers}", "--workers", str(workers)]
    seconds = command("sweep", *space, "--trials", trials, *job)
    folder = Path(place) / "lightning_logs" / "sweeps" / f"workers_{workers}"
    study = load_study(study_name=folder.name, storage=f"sqlite:///{folder / 'study.db'}")
    beyond = []
    for trial in study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)):
        training = read(Path(trial.user_attrs["run"]) / "result.json")["total_seconds"]
        assert trial.duration is not None
        beyond.append(trial.duration.total_seconds() - training)
    return {
        "workers": workers,
        "seconds": seconds,
        "trials": len(study.trials),
        "pruned": sum(trial.state == TrialState.PRUNED for trial in study.trials),
        "seconds beyond training, median": statistics.median(beyond),
        "seconds beyond training, longest": max(beyond),
        "best val/acc": study.best_value,
        "best": study.best_params,
    }


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the documents' table."""
    rows = [
        "| trials | workers | seconds | of these beyond training, a trial | given up | best val/acc | the recipe's |"
    ]
    rows.append("|---" * 7 + "|")
    for row in results["sweeps"]:
        beyond = f"{row['seconds beyond training, median']:.2f} (longest {row['seconds beyond training, longest']:.2f})"
        plain_accuracy = results["plain recipe's val/acc"]
        accuracies = f"{row['best val/acc']:.4f} | {plain_accuracy:.4f}"
        cells = (row["trials"], row["workers"], f"{row['seconds']:.0f}", beyond, row["pruned"], accuracies)
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return {"sweep": "\n".join(rows)}


def measure(flags: argparse.Namespace) -> None:
    """Run the plain recipe and two sweeps, and record them."""
    with tempfile.TemporaryDirectory() as place:
        results = {
            **machine(),
            "epochs": int(flags.epochs),
            "plain recipe's val/acc": plain(place, flags.epochs),
            "sweeps": [sweep(place, flags.trials, flags.epochs, workers) for workers in (1, 2)],
        }
    flags.output.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def main() -> None:
    """Measure, or only make the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", default="30")
    parser.add_argument("--epochs", default="10")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="only write the documents' table from recorded results")
    flags = parser.parse_args()
    if not flags.table:
        measure(flags)
    write_tables(tables(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
