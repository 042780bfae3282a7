"""Does the main job learn what the Keras notebook learns? Twenty seeds of each, side by side.

``python -m benchmarks.parity`` trains every seed for ten epochs, continues it to twenty, evaluates both on the test
images through the command line as a user would, and writes ``benchmarks/results/parity.json`` and the README's table
(about six minutes on two cores). ``--table`` writes the table alone, from the recorded results.

Keras' side, ``results/keras_parity.jsonl``, is Keras 3 on TensorFlow with the same recipe, one line per seed.
"""

import argparse
import json
import math
import statistics
import tempfile
from pathlib import Path

from benchmarks.readme import README, replace_table
from src.cli import main as cli

RESULTS = Path(__file__).parent / "results"
SEEDS = 20
KERAS_KEYS = {"val/acc": "val", "train/loss": "loss", "val/loss": "vl", "test/acc": "t"}
# the last line of the log that the notebook shows, made by its second ten epochs
NOTEBOOK = {"train/loss": 0.0054, "train/acc": 0.9994, "val/loss": 0.0841, "val/acc": 0.9776}


def train(seed: int, root: Path) -> dict[str, dict[str, float]]:
    """Train one seed to ten and to twenty epochs and return the metrics of the last epoch of each."""
    metrics = {}
    run = root / "lightning_logs" / "version_0"
    quiet = ["--trainer.enable_progress_bar", "false", "--trainer.default_root_dir", str(root)]
    start = ["fit", "--config", "configs/mlp.yaml", "--seed_everything", str(seed), *quiet]
    go_on = ["fit", "--ckpt_path", "last", "--trainer.max_epochs", "20", *quiet]
    for epochs, command in ((10, start), (20, go_on)):
        evaluate = ["test", "--ckpt_path", str(run / "checkpoints" / "last.ckpt")]
        if cli(command) or cli(evaluate):
            raise SystemExit(f"seed {seed} failed")
        last = json.loads((run / "result.json").read_text())["epochs"][-1]
        test = json.loads((run / "test.json").read_text())
        names = ("train/loss", "train/acc", "val/loss", "val/acc")
        metrics[str(epochs)] = {name: last[name] for name in names} | {"test/acc": test["test/acc"]}
    return metrics


def study() -> dict[str, dict[str, dict[str, float]]]:
    """Train all seeds."""
    seeds = {}
    for seed in range(SEEDS):
        with tempfile.TemporaryDirectory() as folder:
            seeds[str(seed)] = train(seed, Path(folder))
    return seeds


def keras_values(epochs: int, metric: str) -> list[float]:
    """Return one metric of Keras' seeds."""
    lines = (RESULTS / "keras_parity.jsonl").read_text().splitlines()
    return [json.loads(line)[f"{KERAS_KEYS[metric]}{epochs}"] for line in lines]


def standard_errors_apart(ours: list[float], keras: list[float]) -> float:
    """Return the difference of two means in standard errors of that difference."""
    error = math.sqrt(statistics.variance(ours) / len(ours) + statistics.variance(keras) / len(keras))
    return (statistics.mean(ours) - statistics.mean(keras)) / error


def table(seeds: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return the README's table: mean and standard deviation of both sides and how far apart the means are."""
    rows = [
        f"| after | metric | Keras, {len(keras_values(10, 'val/acc'))} seeds | here, {len(seeds)} seeds "
        "| difference in standard errors | notebook's log |",
        "|---|---|---|---|---|---|",
    ]
    for epochs in (10, 20):
        for metric in KERAS_KEYS:
            keras = keras_values(epochs, metric)
            ours = [seed[str(epochs)][metric] for seed in seeds.values()]
            sides = [f"{statistics.mean(side):.4f} ± {statistics.stdev(side):.4f}" for side in (keras, ours)]
            shown = f"{NOTEBOOK[metric]:.4f}" if epochs == 20 and metric in NOTEBOOK else ""
            apart = f"{standard_errors_apart(ours, keras):+.1f}"
            rows.append(f"| {epochs} epochs | `{metric}` | {sides[0]} | {sides[1]} | {apart} | {shown} |")
    return "\n".join(rows)


def main() -> None:
    """Run the study, or only make its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only write the README's table from recorded results")
    path = RESULTS / "parity.json"
    if not parser.parse_args().table:
        path.write_text(json.dumps(study(), indent=1) + "\n")
    README.write_text(replace_table("parity", table(json.loads(path.read_text())), README.read_text()))


if __name__ == "__main__":
    main()
