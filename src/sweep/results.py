"""The results of a study: a table, intervals over seeds, the best config and pictures."""

import statistics
import warnings
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from optuna import Study
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import matplotlib as plots

from src.common.errors import RunError, cause_of, one_line
from src.common.events import event_file
from src.common.files import write_atomic
from src.common.output import format_value, say
from src.common.output import table as columns
from src.runs.recipe import REPEATS, repeated
from src.sweep.attempts import ERROR
from src.sweep.request import FitRequest
from src.sweep.space import Values, flags
from src.sweep.study import SharedStudy

SHOWN = 10  # trials in the table
PICTURES: dict[str, Callable[..., Any]] = {
    "history": plots.plot_optimization_history,
    "importance": plots.plot_param_importances,
    "parallel_coordinate": plots.plot_parallel_coordinate,
}
INCHES, DPI = (10, 6), 120


def finish(shared: SharedStudy, request: FitRequest, fit: list[str], folder: Path) -> None:
    """Print and write the results of a study."""
    trials = [trial for trial in shared.finished() if "run" in trial.user_attrs or ERROR in trial.user_attrs]
    complete = [
        trial
        for trial in trials
        if trial.state == TrialState.COMPLETE and trial.values and trial.params.keys() == shared.space.keys.keys()
    ]
    if not complete:
        reason = next((trial.user_attrs[ERROR] for trial in trials if ERROR in trial.user_attrs), "")
        raise RunError(f"no trial of {folder} was trained to its end: {reason}")
    name, sign = shared.monitor.name, 1 if shared.monitor.is_min else -1
    complete.sort(key=lambda trial: (sign * value_of(trial), trial.number))
    best = complete[0]
    say(f"\n{table(complete, name)}\n")
    if REPEATS.keys() & shared.space.keys.keys():
        say("\n".join(intervals(complete, name, sign)) + "\n")
    failed = sum(ERROR in trial.user_attrs for trial in trials)
    pruned = len(trials) - len(complete) - failed
    say(f"{len(trials)} trials: {len(complete)} to their end, {pruned} given up, {failed} failed")
    request.parse([*fit, *flags(best.params)])
    path = folder / "best.yaml"
    head = f"# The best of {len(trials)} trials, number {best.number}: {name} {value_of(best):.4f}\n"
    head += f"#   python -m src.cli fit --config {path}\n"
    head += f"# It is the recipe with {one_line(' '.join(flags(best.params)))}\n"
    write_atomic(path, (head + request.to_yaml()).encode())
    draw(shared.study, name, folder)
    say(f"The best again: python -m src.cli fit --config {path}")
    say(f"Look at it:     tensorboard --logdir {folder}")


def value_of(trial: FrozenTrial) -> float:
    """Return the value of a trial's best epoch."""
    assert trial.value is not None
    return trial.value


def settings(values: Values) -> str:
    """Return the settings of a trial as a line of text."""
    return " ".join(f"{key} {format_value(value)}" for key, value in values.items())


def table(trials: Sequence[FrozenTrial], name: str) -> str:
    """Return a line for each of the first trials, best first, with the metric and the keys that vary."""
    keys = list(trials[0].params)
    rows = [["trial", name, *keys, "run"]]
    for trial in trials[:SHOWN]:
        row = [str(trial.number), f"{value_of(trial):.4f}", *(format_value(trial.params[key]) for key in keys)]
        rows.append([*row, one_line(str(trial.user_attrs.get("run", "")))])
    return columns(rows)


def intervals(trials: Sequence[FrozenTrial], name: str, sign: int) -> list[str]:
    """Return mean, standard deviation and 95 % interval of a metric over seeds and folds, a line per setting.

    The interval is Student's t interval of the mean, as if the values were a sample of a normal distribution.
    """
    from scipy.stats import t

    over = " and ".join(word for key, word in REPEATS.items() if key in trials[0].params)
    lines = []
    for group in repeated([trial.params for trial in trials]):
        values = [value_of(trials[number]) for number in group]
        others = {key: value for key, value in trials[group[0]].params.items() if key not in REPEATS}
        mean = statistics.fmean(values)
        line = f"{settings(others) or name}: mean {mean:.4f} over {len(values)} {over}"
        if len(values) > 1:
            deviation = statistics.stdev(values)
            half = float(t.ppf(0.975, len(values) - 1)) * deviation / len(values) ** 0.5
            line += f", sd {deviation:.4f}, 95 % interval {mean - half:.4f} to {mean + half:.4f}"
        lines.append((sign * mean, line))
    return [line for _, line in sorted(lines)]


def draw(study: Study, metric: str, folder: Path) -> None:
    """Write the pictures into the study's folder, as PNG files and for TensorBoard; name those that cannot be drawn."""
    from PIL import Image

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with event_file(folder) as writer, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of matplotlib and Optuna, on how a picture looks
        for name, plot in PICTURES.items():
            content = BytesIO()
            try:
                plot(study, target_name=metric)
                figure = pyplot.gcf()
                figure.set_size_inches(INCHES)
                figure.savefig(content, format="png", dpi=DPI, bbox_inches="tight")
            except Exception as error:  # too few trials, trials all alike, or values that another program wrote
                say(f"No picture of the {name.replace('_', ' ')}: {cause_of(error)}")
                continue
            finally:
                pyplot.close("all")
            write_atomic(folder / f"{name}.png", content.getvalue())
            pixels = np.asarray(Image.open(content).convert("RGB"))
            writer.add_image(f"sweep/{name}", pixels, len(study.trials), dataformats="HWC")
