"""What a study found: a table, intervals over seeds, the best config and pictures."""

import json
import statistics
import warnings
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
from optuna import Study
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import matplotlib as plots

from src.common.events import event_file
from src.common.files import write_atomic
from src.sweep.space import Values, flags

SHOWN = 10  # trials in the table
SEED = "seed_everything"
PICTURES: dict[str, Callable[..., Any]] = {
    "history": plots.plot_optimization_history,
    "importance": plots.plot_param_importances,
    "parallel_coordinate": plots.plot_parallel_coordinate,
}
INCHES, DPI = (10, 6), 120


def best_of(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that were trained to their end, the best first."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return sorted(complete, key=lambda trial: (-value_of(trial), trial.number))


def value_of(trial: FrozenTrial) -> float:
    """Return a trial's val/acc."""
    assert trial.value is not None
    return trial.value


def settings(values: Values) -> str:
    """Return what a trial sets as a person writes it."""
    return " ".join(f"{key} {format_value(value)}" for key, value in values.items())


def format_value(value: Any) -> str:
    """Return a value with no more digits than help."""
    return f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)


def table(trials: Sequence[FrozenTrial]) -> str:
    """Return the best trials, a line each."""
    best = best_of(trials)[:SHOWN]
    keys = list(best[0].params)
    rows = [["trial", "val/acc", *keys, "run"]]
    for trial in best:
        row = [str(trial.number), f"{value_of(trial):.4f}", *(format_value(trial.params[key]) for key in keys)]
        rows.append([*row, trial.user_attrs["run"]])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def intervals(trials: Sequence[FrozenTrial]) -> list[str]:
    """Return mean, standard deviation and 95 % interval of val/acc over the seeds, a line for each setting.

    The interval is Student's, for the mean, as if the seeds were a sample of a normal distribution.
    """
    groups: dict[str, tuple[Values, dict[int, float]]] = {}  # a seed that was drawn twice says nothing new
    for trial in best_of(trials):
        others = {key: value for key, value in trial.params.items() if key != SEED}
        groups.setdefault(json.dumps(others), (others, {}))[1][trial.params[SEED]] = value_of(trial)
    lines = []
    for others, seeds in sorted(groups.values(), key=lambda group: -statistics.fmean(group[1].values())):
        values = list(seeds.values())
        line = f"{settings(others) or 'val/acc'}: mean {statistics.fmean(values):.4f} over {len(values)} seeds"
        if len(values) > 1:
            half = half_width(values)
            low, high = statistics.fmean(values) - half, statistics.fmean(values) + half
            line += f", sd {statistics.stdev(values):.4f}, 95 % interval {low:.4f} to {high:.4f}"
        lines.append(line)
    return lines


def half_width(values: Sequence[float]) -> float:
    """Return half of the 95 % interval of a mean."""
    from scipy.stats import t

    quantile = float(t.ppf(0.975, len(values) - 1))
    return quantile * float(statistics.stdev(values) / len(values) ** 0.5)


def best_config(content: str, best: FrozenTrial, path: Path, trials: int) -> bytes:
    """Return the config of the best trial.

    Args:
        content: It, as YAML.
        best: The trial.
        path: Where it will be.
        trials: How many it is the best of.
    """
    head = f"# The best of {trials} trials, number {best.number}: val/acc {value_of(best):.4f}\n"
    command = f"#   python -m src.cli fit --config {path}\n# It is the recipe with {' '.join(flags(best.params))}\n"
    return (head + command + content).encode()


def draw(study: Study, folder: Path) -> dict[str, str]:
    """Write the pictures as PNG files and for TensorBoard, into the study's folder.

    Returns:
        Those that could not be drawn, with the reason.
    """
    from PIL import Image
    from torchvision.transforms.functional import pil_to_tensor

    matplotlib.use("Agg")
    from matplotlib import pyplot

    missing = {}
    with event_file(folder) as writer:
        for name, plot in PICTURES.items():
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # matplotlib's and Optuna's about how a picture looks
                    plot(study, target_name="val/acc")
                    figure = pyplot.gcf()
                    figure.set_size_inches(INCHES)
                    content = BytesIO()
                    figure.savefig(content, format="png", dpi=DPI, bbox_inches="tight")
            except (ValueError, RuntimeError) as error:  # too few trials, or all alike
                missing[name] = " ".join(str(error).split())
                continue
            finally:
                pyplot.close("all")
            write_atomic(folder / f"{name}.png", content.getvalue())
            writer.add_image(f"sweep/{name}", pil_to_tensor(Image.open(content).convert("RGB")), len(study.trials))
    return missing
