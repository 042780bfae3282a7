"""Seeds and folds: what is printed is their mean, deviation and interval."""

import re
import statistics
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tests.conftest import TRAIN_SIZE
from tests.sweep.conftest import Sweep, results, study_folder


def interval(runs: Collection[dict[str, Any]], over: str) -> str:
    """The sentence about three runs."""
    accuracies = [result["best"]["val/acc"] for result in runs]
    mean, deviation = statistics.fmean(accuracies), statistics.stdev(accuracies)
    half = 4.302653 * deviation / 3**0.5  # Student's t for 2 degrees of freedom
    return (
        f"val/acc: mean {mean:.4f} over 3 {over}, sd {deviation:.4f}, "
        f"95 % interval {mean - half:.4f} to {mean + half:.4f}"
    )


def test_seeds_give_mean_deviation_and_interval(sweep: Sweep, tmp_path: Path) -> None:
    answer = sweep("seed_everything: {grid: [1, 2, 3]}\n")
    runs = results(study_folder(tmp_path)).values()

    assert sorted(result["seed"] for result in runs) == [1, 2, 3]
    assert interval(runs, "seeds") in answer.out


def test_folds_give_mean_deviation_and_interval(sweep: Sweep, tmp_path: Path) -> None:
    answer = sweep("data.fold: {grid: [0, 1, 2]}\n", "--data.folds", "3", "--data.val_size", "12000")
    runs = results(study_folder(tmp_path)).values()

    assert (answer.code, answer.err) == (0, "")
    assert sorted(result["config"]["data"]["fold"] for result in runs) == [0, 1, 2]
    assert sum(result["data"]["split"]["val"] for result in runs) == TRAIN_SIZE
    assert interval(runs, "folds") in answer.out


def test_a_line_for_each_setting_is_over_seeds_and_folds(sweep: Sweep) -> None:
    space = "data.fold: {grid: [0, 1]}\nseed_everything: {grid: [1, 2]}\nmodel.lr: {grid: [0.001, 0.01]}\n"
    answer = sweep(space, "--data.folds", "2", "--data.val_size", "12000", "--trainer.max_epochs", "1")

    assert answer.code == 0
    assert answer.out.count(" over 4 seeds and folds, sd ") == 2
    means = re.findall(r"^model\.lr (\S+): mean (\S+) over", answer.out, re.MULTILINE)
    assert {lr for lr, _ in means} == {"0.001", "0.01"}
    assert float(means[0][1]) > float(means[1][1])  # the best first


def test_folds_and_their_number_may_be_in_the_same_space(sweep: Sweep) -> None:
    space = "data.fold: {grid: [0, 1]}\ndata.folds: {grid: [2]}\n"
    answer = sweep(space, "--data.val_size", "12000", "--trainer.max_epochs", "1")

    assert (answer.code, answer.err) == (0, "")
    assert "2 trials: 2 to their end" in answer.out
