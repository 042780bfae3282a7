"""Does the main job learn what the Keras notebook learns? Many seeds of each, side by side.

``python -m benchmarks.parity`` trains every seed for ten epochs, continues it to twenty, evaluates both on the test
images through the command line as a user would, and writes ``benchmarks/results/parity.json`` and the documents' table
(about twenty minutes on two cores). Seeds that are recorded there are kept: delete the file to train all again.
``--table`` writes the table alone.

Two questions are asked. ``reshuffled``, the notebook's: a new order in every epoch. ``one order``: the order of the
first epoch in all of them, which is what Keras 3 on TensorFlow does once ``keras.utils.set_random_seed`` was called
(``python -m benchmarks.keras_notebook --show_order`` shows it). Keras' own figures for both lie beside ours in
``benchmarks/results``, one line per seed.
"""

import argparse
import json
import math
import statistics
import tempfile
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

from benchmarks.documents import write_tables
from src.cli.main import main as cli
from src.data.batches import EpochOrder

RESULTS = Path(__file__).parent / "results" / "parity.json"
SEEDS = {"reshuffled": 60, "one order": 20}
ORDERS = {"reshuffled": "keras_reshuffled.jsonl", "one order": "keras_seeded.jsonl"}
KERAS_KEYS = {"val/acc": "val", "train/loss": "loss", "val/loss": "vl", "test/acc": "t"}
# the last line of the log that the notebook shows, made by its second ten epochs
NOTEBOOK = {"train/loss": 0.0054, "train/acc": 0.9994, "val/loss": 0.0841, "val/acc": 0.9776}


Seeds = dict[str, dict[str, dict[str, float]]]
"""seed -> number of epochs -> metric -> value in the last of them."""


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


def study(order: str, results: dict[str, Seeds]) -> None:
    """Train the seeds that ``results`` lacks, with the order of the first epoch in all of them for ``one order``."""
    same_order = patch.object(EpochOrder, "set_epoch") if order == "one order" else nullcontext()
    seeds = results.setdefault(order, {})
    for seed in map(str, range(SEEDS[order])):
        if seed not in seeds:
            with tempfile.TemporaryDirectory() as folder, same_order:
                seeds[seed] = train(int(seed), Path(folder))
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def keras_values(order: str, epochs: int, metric: str) -> list[float]:
    """Return one metric of Keras' seeds."""
    lines = (RESULTS.parent / ORDERS[order]).read_text().splitlines()
    return [json.loads(line)[f"{KERAS_KEYS[metric]}{epochs}"] for line in lines]


def standard_errors_apart(ours: list[float], keras: list[float]) -> float:
    """Return the difference of two means in standard errors of that difference."""
    error = math.sqrt(statistics.variance(ours) / len(ours) + statistics.variance(keras) / len(keras))
    return (statistics.mean(ours) - statistics.mean(keras)) / error


def tables(results: dict[str, Seeds]) -> dict[str, str]:
    """Return the documents' table: mean and standard deviation of both sides and how far apart the means are."""
    rows = [
        "| order | after | metric | Keras 3 | here | seeds of each | apart | notebook |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for order, seeds in results.items():
        for epochs in (10, 20):
            for metric in KERAS_KEYS:
                keras = keras_values(order, epochs, metric)
                ours = [seed[str(epochs)][metric] for seed in seeds.values()]
                both = min(len(keras), len(ours))  # where one side is recorded further
                keras, ours = keras[:both], ours[:both]
                sides = [f"{statistics.mean(side):.4f} ± {statistics.stdev(side):.4f}" for side in (keras, ours)]
                of_notebook = order == "reshuffled" and epochs == 20 and metric in NOTEBOOK
                shown = f"{NOTEBOOK[metric]:.4f}" if of_notebook else ""
                apart = f"{both} | {standard_errors_apart(ours, keras):+.1f}"
                rows.append(f"| {order} | {epochs} epochs | `{metric}` | {sides[0]} | {sides[1]} | {apart} | {shown} |")
    return {"parity": "\n".join(rows)}


def main() -> None:
    """Run the study, or only make its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only write the documents' table from recorded results")
    if not parser.parse_args().table:
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        for order in ORDERS:
            study(order, results)
    write_tables(tables(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
