"""How far does the same network go when it is trained better, and what does each ingredient add?

``python -m benchmarks.accuracy`` trains every recipe of ``RECIPES`` with five seeds, two at a time on one core each,
reads the test images once per seed, and writes ``benchmarks/results/accuracy.json``, the documents' table and the chart
``benchmarks/results/accuracy.png`` (about two hours on two cores). ``--recipes`` trains some of them and keeps what
is recorded of the others; ``--table`` only writes table and chart. Seconds are the processor's, of the whole command.

All choices were made on the validation images.
"""

import argparse
import json
import re
import shutil
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.documents import ROOT, write_tables
from benchmarks.processes import HERE, machine, versions
from benchmarks.processes import run as run_process
from src.compare import mcnemar
from src.data.datamodule import MNISTDataModule
from src.inspection.findings import calibration_error, predict
from src.runs.folder import Run
from src.runs.trained import Trained

RESULTS = Path(__file__).parent / "results" / "accuracy.json"
SEEDS = (1, 2, 3, 4, 5)
FAST = "configs/fast_98.yaml"
NOTEBOOK, TEACHER, DISTILLED = "configs/mlp.yaml", "configs/cnn_teacher.yaml", "configs/mlp_distilled.yaml"
HEADED = (FAST, "configs/mlp_99.yaml", TEACHER, DISTILLED)  # the notebook's has its figures of twenty seeds
TEACHER_SEED = 42  # the config's own; all students have the same teacher
SCHEDULE = ["--model.lr", "0.003", "--model.warmup_steps", "500", "--model.cosine", "true"]
DECAY = ["--model.weight_decay", "0.0001"]
AFFINE = [f"--data.distortion.{name}" for name in ("rotation=15", "scale=0.15", "shear=0.2", "shift=2")]
ELASTIC = ["--data.distortion.elastic", "0.75"]
AVERAGE = ["--ema_decay", "0.9995"]
UPRIGHT = ["--data.deskew", "true", "--data.distortion.rotation", "8", "--data.distortion.shear", "0.05"]
HUNDRED = ["--config", NOTEBOOK, "--trainer.max_epochs", "100"]
# what it is called -> the words of fit; the lines that begin with + have all that is above them
RECIPES: dict[str, list[str]] = {
    NOTEBOOK: ["--config", NOTEBOOK],
    "100 epochs": HUNDRED,
    "+ warm-up and cosine": [*HUNDRED, *SCHEDULE],
    "+ weight decay": [*HUNDRED, *SCHEDULE, *DECAY],
    "+ affine distortion": [*HUNDRED, *SCHEDULE, *DECAY, *AFFINE],
    "+ elastic distortion": [*HUNDRED, *SCHEDULE, *DECAY, *AFFINE, *ELASTIC],
    "+ averaged weights": [*HUNDRED, *SCHEDULE, *DECAY, *AFFINE, *ELASTIC, *AVERAGE],
    "+ deskewing, less rotation and shear": [*HUNDRED, *SCHEDULE, *DECAY, *AFFINE, *ELASTIC, *AVERAGE, *UPRIGHT],
    FAST: ["--config", FAST],
    "configs/mlp_99.yaml": ["--config", "configs/mlp_99.yaml"],
    TEACHER: ["--config", TEACHER],
    DISTILLED: ["--config", DISTILLED],
}
# test/acc that others report for fully connected networks of one hidden layer, and for a convolutional one
PUBLISHED = {
    "LeCun et al. 1998, 300 units": 0.953,
    "Simard et al. 2003, 800 units, affine": 0.989,
    "Simard et al. 2003, 800 units, elastic": 0.993,
    "LeCun et al. 1998, LeNet-5, distorted": 0.992,
}


def train(recipe: str, seed: int, teacher: str, keep: Path | None) -> dict[str, Any]:
    """Train once on one core and read the test images.

    Args:
        recipe: Which of ``RECIPES``.
        seed: The seed.
        teacher: The teacher's checkpoint for the recipe that has one.
        keep: Where to put a copy of the best checkpoint, if anywhere.
    """
    with tempfile.TemporaryDirectory() as root:
        words = [*RECIPES[recipe], "--seed_everything", str(seed), "--trainer.default_root_dir", root]
        words += ["--inspection.enabled", "false", "--trainer.accelerator", "cpu"]
        words += ["--distillation.teacher", teacher] if recipe == DISTILLED else []
        figures = run_process([HERE, "-m", "src.cli", "fit", *words], {"OMP_NUM_THREADS": "1"})
        run = Run(Path(root) / "lightning_logs" / "version_0")
        result = json.loads((run.path / "result.json").read_text())
        trained = Trained.load(str(run.path))
        if keep:
            shutil.copy(trained.checkpoint, keep)
    data = MNISTDataModule(deskew=trained.network.deskew)
    data.setup("test")
    answers = predict(trained.network.network, data.splits["test"], data)
    wrong = answers.positions[answers.predicted != answers.labels].tolist()
    record = {"seed": seed, "val/acc": result["best"]["val/acc"], "test/acc": 1 - len(wrong) / len(answers.labels)}
    record |= {"seconds": figures["processor_seconds"], "calibration_error": calibration_error(answers), "wrong": wrong}
    print(recipe, {name: value for name, value in record.items() if name != "wrong"}, flush=True)
    return record


def mean_and_sd(records: list[dict[str, Any]], name: str) -> str:
    """Return both in percent; the mean alone of a single record."""
    values = [100 * record[name] for record in records]
    return f"{statistics.mean(values):.2f}" + (f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else "")


def tables(content: dict[str, Any]) -> dict[str, str]:
    """Return the documents' tables: what each config reaches, and what each ingredient adds."""
    recipes: dict[str, list[dict[str, Any]]] = {name: content["recipes"].get(name, []) for name in RECIPES}
    configs = ["| recipe | best val/acc, % | test/acc, % | seconds of one core | seeds |", "|---" * 5 + "|"]
    every = ["| recipe | best val/acc, % | test/acc, % | core seconds | calibration error | p | seeds |"]
    every += ["|---" * 7 + "|"]
    plain = {record["seed"]: record["wrong"] for record in recipes[NOTEBOOK]}
    for recipe, records in recipes.items():
        if not records:
            continue
        accuracies = " | ".join(mean_and_sd(records, metric) for metric in ("val/acc", "test/acc"))
        seconds = f"{statistics.median(record['seconds'] for record in records):,.0f}"
        calibration = statistics.mean(record["calibration_error"] for record in records)
        chances = [mcnemar(record["wrong"], plain[record["seed"]]) for record in records if record["seed"] in plain]
        worst = "" if recipe == NOTEBOOK else f"{max(chances):.0e}" if max(chances) < 0.001 else f"{max(chances):.3f}"
        every.append(f"| {recipe} | {accuracies} | {seconds} | {calibration:.4f} | {worst} | {len(records)} |")
        if recipe.startswith("configs/"):
            config, _, rest = recipe.partition(",")
            name = f"[{config}]({config}){f',{rest}' if rest else ''}"
            configs.append(f"| {name} | {accuracies} | {seconds} | {len(records)} |")
    chinese = ["| 設定檔 | 最佳驗證準確率 % | 測試準確率 % | CPU 單核心秒數 | 亂數種子數 |", *configs[1:]]
    return {"accuracy": "\n".join(configs), "accuracy-zh": "\n".join(chinese), "ablation": "\n".join(every)}


def reached(records: list[dict[str, Any]]) -> str:
    """Return what a config says of itself in its third line or so."""
    seconds = statistics.median(record["seconds"] for record in records)
    val, test = (
        f"{statistics.mean(values):.4f} (sd {statistics.stdev(values):.4f})"
        for values in ([record[name] for record in records] for name in ("val/acc", "test/acc"))
    )
    time = f"# Trains for about {seconds:.0f} s on one core."
    return f"{time} Over {len(records)} seeds val/acc is {val} and test/acc {test}."


def write_headings(recipes: dict[str, list[dict[str, Any]]]) -> None:
    """Let the configs that this study is about say what they reach."""
    for config in HEADED:
        if recipes.get(config):
            path = ROOT / config
            path.write_text(
                re.sub("^# Trains for about.*$", reached(recipes[config]), path.read_text(), flags=re.MULTILINE)
            )


def chart(recipes: dict[str, list[dict[str, Any]]]) -> None:
    """Draw test/acc of every seed against the seconds of training, and what others have published as lines."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(10, 6), layout="constrained")
    for recipe in RECIPES:
        if records := recipes.get(recipe):
            points = [(record["seconds"], 100 * record["test/acc"]) for record in records]
            marker = "o" if recipe.startswith("configs/") else "."
            axis.plot(*zip(*points, strict=True), marker, label=recipe)
    for name, accuracy in PUBLISHED.items():
        axis.axhline(100 * accuracy, color="grey", linewidth=0.8, linestyle=":")
        place: dict[str, Any] = {"xy": (0.01, 100 * accuracy), "xycoords": ("axes fraction", "data")}
        axis.annotate(name, **place, va="top" if "LeNet" in name else "bottom", fontsize=8)
    axis.set(xscale="log", xlabel="seconds of one core, start-up included", ylabel="test/acc, %", ylim=(95, 100))
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=8, loc="center right")
    figure.savefig(RESULTS.with_suffix(".png"), dpi=110)


def main() -> None:
    """Run the study, or a part of it, or only make table and chart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--workers", type=int, default=2, help="trainings at a time")
    parser.add_argument("--teacher", default="teacher.ckpt", help="the teacher's checkpoint; made if it is missing")
    parser.add_argument("--table", action="store_true", help="only write table and chart from recorded results")
    flags = parser.parse_args()
    content: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"recipes": {}}
    if not flags.table:
        if DISTILLED in flags.recipes and not Path(flags.teacher).exists():
            train(TEACHER, TEACHER_SEED, flags.teacher, keep=Path(flags.teacher))
        work = [pair for pair in product(flags.recipes, flags.seeds) if not _is_recorded(content, *pair)]
        with ThreadPoolExecutor(flags.workers) as pool:
            tasks = [(recipe, pool.submit(train, recipe, seed, flags.teacher, None)) for recipe, seed in work]
            for recipe, task in tasks:
                content["recipes"].setdefault(recipe, []).append(task.result())
                content |= {"machine": machine(), "versions": versions(peers=False)}
                RESULTS.write_text(json.dumps(content) + "\n")
    write_tables(tables(content))
    write_headings(content["recipes"])
    chart(content["recipes"])


def _is_recorded(content: dict[str, Any], recipe: str, seed: int) -> bool:
    return any(record["seed"] == seed for record in content["recipes"].get(recipe, []))


if __name__ == "__main__":
    main()
