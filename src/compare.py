"""Compare runs: ``python -m src.cli compare``."""

import csv
import io
import statistics
from collections.abc import Iterable
from math import comb
from pathlib import Path
from typing import Any, Literal

from src.common.errors import UsageError, cause_of
from src.common.files import read_object, refuse_place, write_atomic
from src.common.output import cell, format_value, say, table
from src.data.splits import split_positions
from src.runs.checkpoint import Checkpoint
from src.runs.folder import Run
from src.runs.recipe import BEFORE, REPEATS, dotted, repeated
from src.runs.trained import Trained, answers

SPLIT = ("val_size", "split", "fold", "folds")
TEST = "test/acc"


def compare(runs: list[str], split: Literal["val", "test"] = "val", output: str | None = None) -> int:
    """Show how runs differ in settings and results; for two runs, by McNemar's test, whether one is better.

    A line has the settings that not all runs share, the best epoch's metrics, and test/acc where `test` was run; below
    are mean and standard deviation over runs that differ only by seed or fold. Example:
    python -m src.cli compare lightning_logs/version_0 lightning_logs/version_1 --output runs.csv

    Args:
        runs: Run folders, checkpoint files, best or last (of the newest run that has one).
        split: The images for McNemar's test. Choose between two networks on val; test is for the end.
        output: A .csv file to write the table to.

    Raises:
        UsageError: If there is no such run; or, after the table, if two runs were not validated on the same images.
    """
    if output:
        refuse_place("output", Path(output), ".csv")
    checkpoints = [*map(read, runs)] if len(runs) == 2 else map(read, runs)  # of many, only one is in memory
    recorded = [(BEFORE | dotted(checkpoint.recipe), metrics_of(checkpoint)) for checkpoint in checkpoints]
    head, *rows = rows_of(runs, recorded)
    say(table([head, *([*map(readable, head, row)] for row in rows)]))
    if output:
        text = io.StringIO(newline="")
        plain = ([cell(value, "'") if isinstance(value, str) else value for value in row] for row in [head, *rows])
        csv.writer(text).writerows(plain)
        write_atomic(Path(output), text.getvalue().encode("utf-8", "surrogateescape"))
    if isinstance(checkpoints, list):
        say(f"\n{verdict(checkpoints, runs, split)}")
    return 0


def readable(name: str, value: Any) -> str:
    """Return a cell as text; metrics, whose names have a slash, get four digits."""
    return f"{value:.4f}" if "/" in name and isinstance(value, float) else format_value(value)


def read(run: str) -> Checkpoint:
    """Read the best checkpoint of a run, or a checkpoint that is named itself."""
    if Path(run).is_dir() and not (Path(run) / "result.json").exists():
        raise UsageError(f"{run} has no result.json, which a training writes at its end: name one of its checkpoints.")
    try:
        checkpoint = Checkpoint.find(run, Path())
    except UsageError as error:
        raise UsageError(str(error).replace("`ckpt_path` ", "")) from error
    if run in ("best", "last"):
        say(f"{run} of the newest run that has one: {Run.of_checkpoint(checkpoint.path).path}")
    return checkpoint


def metrics_of(checkpoint: Checkpoint) -> dict[str, float]:
    """Return the metrics of a checkpoint's epoch, and test/acc if `test` was run on that checkpoint."""
    metrics = checkpoint.records[-1] if checkpoint.records else {}
    try:
        result = read_object(Run.of_checkpoint(checkpoint.path).path / "test.json", checkpoint=str, **{TEST: float})
    except (OSError, ValueError):  # test.json is missing or damaged
        return metrics
    return metrics | ({TEST: result[TEST]} if Path(result["checkpoint"]).name == checkpoint.path.name else {})


def rows_of(runs: list[str], recorded: list[tuple[dict[str, Any], dict[str, float]]]) -> list[list[Any]]:
    """Return a table of runs, their recipes and metrics, with mean and sd of the runs that repeat a recipe."""
    recipes = [recipe for recipe, _ in recorded]
    keys = dict.fromkeys(key for recipe in recipes for key in recipe)
    differs = [key for key in keys if len({repr(recipe.get(key)) for recipe in recipes}) > 1]
    names = list(dict.fromkeys(["val/acc", *(str(recipe["checkpoints.monitor"]) for recipe in recipes), TEST]))
    rows = [{"run": run, **recipe, **metrics} for run, (recipe, metrics) in zip(runs, recorded, strict=True)]
    for group in [group for group in repeated(recipes) if len(group) > 1]:
        same = {key: value for key, value in recipes[group[0]].items() if key not in REPEATS}
        columns = {name: [rows[number][name] for number in group if name in rows[number]] for name in names}
        full = {name: values for name, values in columns.items() if len(values) == len(group)}
        for word, function in (("mean", statistics.fmean), ("sd", statistics.stdev)):
            rows.append({"run": f"{word} of {len(group)}", **same} | {name: function(full[name]) for name in full})
    head = list(dict.fromkeys(["run", "seed_everything", *differs, "epoch", *names]))
    return [head, *([row.get(name, "") for name in head] for row in rows)]


def verdict(pair: list[Checkpoint], names: list[str], part: Literal["val", "test"]) -> str:
    """Return McNemar's test of two networks; UsageError if their images differ."""
    for key in ("dataset", "data_dir", "test_size", "image_size", *(SPLIT if part == "val" else ())):
        one, other = (
            checkpoint.image_shape if key == "image_size" else checkpoint.setting("data", key, None)
            for checkpoint in pair
        )
        if one != other:
            raise UsageError(
                f"McNemar's test needs the same images, and --data.{key} is "
                f"{format_value(one)} for {names[0]}, {format_value(other)} for {names[1]}: name two runs that share it"
                f"{', or add --split test when you have chosen' if key in SPLIT else ''}."
            )
    networks = [Trained.of(checkpoint) for checkpoint in pair]
    images = networks[0].locate().read("test" if part == "test" else "train")
    if part == "val":
        options = {key: pair[0].setting("data", key, None) for key in SPLIT}
        try:
            images = images._replace(members=split_positions(images.file_labels, **options)[1])
        except (TypeError, ValueError) as error:  # a checkpoint's settings may have any type
            raise UsageError(
                f"{pair[0].path} has val_size, split, fold and folds that do not split the training images "
                f"({cause_of(error)}): name another run, or add --split test."
            ) from error
    if not len(images.members):
        raise UsageError("McNemar's test has no images, as --data.val_size is 0: add --split test.")
    wrong = [(answers(net.answer, images)[0].argmax(dim=1) != images.labels).nonzero().flatten() for net in networks]
    one, other = (set(positions.tolist()) for positions in wrong)
    return (
        f"McNemar's exact test on the {len(images.members):,} {part} images: {names[0]} alone reads "
        f"{len(one - other):,} wrong, {names[1]} alone {len(other - one):,}; p = {mcnemar(one, other):.2g}"
    )


def mcnemar(one: Iterable[int], other: Iterable[int]) -> float:
    """Return the p-value of McNemar's exact test for the mistakes of two classifiers on the same images.

    If both are equally good, an image that only one of them reads wrong is either one's mistake with probability 1/2
    (McNemar 1947).
    """
    only = len({*one} - {*other}), len({*other} - {*one})
    tail = sum(comb(sum(only), count) for count in range(min(only) + 1))
    return float(min(1.0, 2 * tail / 2 ** sum(only)))
