"""A table of runs, and McNemar's test of two of them."""

import csv
import json
import re
import shutil
import statistics
from pathlib import Path

import pytest
import torch

from src.cli.main import main
from src.compare import mcnemar
from src.data.checks import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from src.data.idx import read_idx
from src.data.splits import split_positions
from src.runs.trained import Trained

RUNS = {
    0: "--data.val_size 60",
    1: "--data.val_size 60 --seed_everything 1",
    2: "--data.val_size 60 --seed_everything 2",
    3: "--data.val_size 60 --optimizer SGD --optimizer.lr 0.1 --checkpoints.monitor val/loss",
    4: "--data.folds 3 --data.fold 0 --data.split stratified",
    5: "--data.folds 3 --data.fold 1 --data.split stratified",
    6: "--data.val_size 0",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """A folder with lightning_logs, not to be changed."""
    root = tmp_path_factory.mktemp("compare")
    short = ["--data.data_dir", str(digits), "--data.batch_size", "32", "--trainer.max_epochs", "2"]
    place = ["--trainer.default_root_dir", str(root), "--inspection.enabled", "false", "--trainer.accelerator", "cpu"]
    for words in RUNS.values():
        assert main(["fit", *short, *place, *words.split()]) == 0
    for number in (0, 1, 2):
        assert main(["test", "--ckpt_path", str(root / "lightning_logs" / f"version_{number}")]) == 0
    return root


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def run(number: int) -> str:
    return f"lightning_logs/version_{number}"


def result(number: int, name: str = "result.json") -> dict[str, float]:
    content = json.loads((Path(run(number)) / name).read_text())
    return content["best"] if name == "result.json" else content


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_line_has_what_differs_and_what_was_reached(tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    assert main(["compare", run(0), run(3), run(4), "--output", str(table)]) == 0
    plain, sgd, fold = rows_of(table)

    assert [row["run"] for row in (plain, sgd, fold)] == [run(0), run(3), run(4)]
    assert (plain["seed_everything"], plain["epoch"]) == ("42", str(result(0)["epoch"]))
    assert (sgd["optimizer.class_path"], plain["optimizer.class_path"]) == ("SGD", "")
    assert (fold["data.fold"], fold["data.folds"], fold["data.val_size"]) == ("0", "3", "12000")
    assert "model.lr" not in plain
    for number, row in ((0, plain), (3, sgd), (4, fold)):
        assert float(row["val/acc"]) == pytest.approx(result(number)["val/acc"])
        assert float(row["val/loss"]) == pytest.approx(result(number)["val/loss"])  # a monitor of one of them
    assert float(plain["test/acc"]) == pytest.approx(result(0, "test.json")["test/acc"])
    assert sgd["test/acc"] == ""


@pytest.mark.parametrize(("numbers", "split"), [((0, 1, 2), ""), ((4, 5), "data.fold")])
def test_runs_that_differ_by_seed_or_fold_alone_have_mean_and_sd(
    numbers: tuple[int, ...], split: str, tmp_path: Path
) -> None:
    table = tmp_path / "runs.csv"
    code = main(["compare", *map(run, numbers), run(3), "--output", str(table)])
    mean, deviation = rows_of(table)[-2:]
    accuracies = [result(number)["val/acc"] for number in numbers]

    assert code == 0
    assert (mean["run"], deviation["run"]) == (f"mean of {len(numbers)}", f"sd of {len(numbers)}")
    assert float(mean["val/acc"]) == pytest.approx(statistics.fmean(accuracies))
    assert float(deviation["val/acc"]) == pytest.approx(statistics.stdev(accuracies))
    assert (mean["seed_everything"], mean.get(split, "")) == ("", "")
    assert bool(mean["test/acc"]) == (not split)  # where all were tested


def test_a_run_that_is_named_twice_is_no_other_seed(tmp_path: Path) -> None:
    assert main(["compare", run(0), run(0), run(1), "--output", str(tmp_path / "runs.csv")]) == 0

    assert rows_of(tmp_path / "runs.csv")[-1]["run"] == "sd of 2"


def wrong(number: int, part: str, digits: Path) -> set[int]:
    names = (TEST_IMAGES, TEST_LABELS) if part == "test" else (TRAIN_IMAGES, TRAIN_LABELS)
    images, labels = (read_idx(digits / name) for name in names)
    here = torch.arange(len(labels)) if part == "test" else torch.as_tensor(split_positions(labels, 60, "tail")[1])
    answers = Trained.load(run(number)).answer(images[here])[1].argmax(dim=1)
    return set((answers != labels[here]).nonzero().flatten().tolist())


@pytest.mark.parametrize("part", ["val", "test"])
def test_two_are_tested_on_the_same_images(part: str, digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (wrong(number, part, digits) for number in (0, 3))
    assert main(["compare", run(0), run(3), "--split", part]) == 0
    said = capsys.readouterr().out.splitlines()[-1]

    assert said == (
        f"McNemar's exact test on the {60 if part == 'val' else 70} {part} images: {run(0)} alone reads "
        f"{len(one - other)} wrong, {run(3)} alone {len(other - one)}; p = {mcnemar(one, other):.2g}"
    )
    assert one != other


def test_a_stratified_folds_images_are_those_that_validated(capsys: pytest.CaptureFixture[str]) -> None:
    best = f"{run(4)}/checkpoints/best.ckpt"
    assert main(["compare", run(4), best]) == 0

    assert re.search(r"on the 77 val images: .* alone reads 0 wrong, .* alone 0; p = 1$", capsys.readouterr().out)


def test_one_run_best_and_last_are_shown_and_not_tested(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "best"]) == 0
    out = capsys.readouterr().out

    assert out.startswith(f"best of the newest run that has one: {run(5)}\n")
    assert f"  {result(5)['val/acc']:.4f}" in out
    assert "McNemar" not in out


def test_the_test_result_of_another_checkpoint_is_not_shown(tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    last = f"{run(0)}/checkpoints/last.ckpt"
    assert main(["compare", run(0), last, run(1), "--output", str(table)]) == 0

    assert [bool(row["test/acc"]) for row in rows_of(table)[:3]] == [True, False, True]


REFUSED = {
    "no such run": (f"{run(0)} {run(9)}", f"error: {run(9)}: no such file or run folder; the newest run is {run(6)}."),
    "no run": ("lightning_logs", "lightning_logs has no result.json, which a training writes at its end"),
    "none": ("", "name the runs to compare, such as lightning_logs/version_0"),
    "another split": (f"{run(0)} {run(4)}", "--data.val_size is 60 for lightning_logs/version_0, 12000 for"),
    "another fold": (f"{run(4)} {run(5)}", "--data.fold is 0 for lightning_logs/version_4, 1 for"),
    "no validation": (
        f"{run(6)}/checkpoints/last.ckpt {run(6)}/checkpoints/last.prev.ckpt",
        "as --data.val_size is 0: add --split test.",
    ),
    "a table of another kind": (f"{run(0)} --output runs.txt", "--output runs.txt: name a path that ends in .csv"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_compared_is_refused_in_a_sentence(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, says = REFUSED[case]
    assert main(["compare", *words.split()]) == 2
    err = capsys.readouterr().err

    assert says in err
    assert err.count("\n") == 1


def test_another_split_is_compared_on_the_test_images(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", run(0), run(4), "--split", "test"]) == 0

    assert "exact test on the 70 test images" in capsys.readouterr().out


def test_other_data_is_refused_on_the_test_images_too(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(digits, tmp_path / "digits")
    for flags, says in (
        (["--data.data_dir", str(tmp_path / "digits")], "--data.data_dir is"),
        (["--data.dataset", "FashionMNIST"], "--data.dataset is MNIST for"),
    ):
        place = ["--config", str(Path(run(0)) / "config.yaml"), "--trainer.default_root_dir", str(tmp_path)]
        assert main(["fit", *place, *flags]) == 0
        capsys.readouterr()
        other = max((tmp_path / "lightning_logs").iterdir())
        assert main(["compare", run(0), str(other), "--split", "test"]) == 2
        out, err = capsys.readouterr()
        assert says in err
        assert str(other) in out  # the table is there all the same
