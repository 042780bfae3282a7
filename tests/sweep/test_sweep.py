"""Many fits, compared: what a sweep leaves, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from src.sweep import study as studies
from tests.conftest import Cli
from tests.pictures import CLASSES, draw_folder
from tests.sweep.conftest import EPOCHS, SPACE, Sweep, results, study_folder
from tests.training import run_folder


def shown_hparams(run: Path) -> dict[str, Any]:
    events = EventAccumulator(str(run)).Reload()
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    values = HParamsPluginData.FromString(content).session_start_info.hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}


def test_a_study_is_a_folder_of_runs_with_its_best_config_and_pictures(sweep: Sweep, cli: Cli, tmp_path: Path) -> None:
    answer = sweep(SPACE, "--trials", "6")
    folder = study_folder(tmp_path)
    found = results(folder)

    assert (answer.code, answer.err) == (0, "")
    assert len(found) == len(list(folder.glob("version_*"))) == 6
    assert len([line for line in answer.out.splitlines() if line.startswith("Trial ")]) == 6
    assert "Epoch" not in answer.out
    best = max(found.values(), key=lambda result: result["best"]["val/acc"])  # the first of equals
    first = answer.out.partition("\ntrial  val/acc")[2].splitlines()[1].split()
    assert first[1] == f"{best['best']['val/acc']:.4f}"
    assert first[-1] == str(Path(best["best"]["checkpoint"]).parents[1])
    for name in ("history", "importance", "parallel_coordinate"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(EventAccumulator(str(folder)).Reload().Tags()["images"]) == [
        *("sweep/history", "sweep/importance", "sweep/parallel_coordinate")
    ]
    again = cli("fit", "--config", str(folder / "best.yaml"))
    assert again.code == 0
    result = json.loads((run_folder(tmp_path) / "result.json").read_text())
    assert result["best"]["val/acc"] == best["best"]["val/acc"]
    assert result["config"]["model"] == best["config"]["model"]
    assert "Epoch 1/3" in again.out  # what makes a trial quiet is no part of the recipe
    once_more = sweep(SPACE, "--trials", "6")
    assert once_more.code == 0
    assert "Nothing left to run: 6 trials of space are done; ask for more with --trials" in once_more.out
    assert "Trial " not in once_more.out


def test_each_trial_has_its_settings_and_result_in_hparams(sweep: Sweep, tmp_path: Path) -> None:
    space = "model.weight_decay: {choice: [0.0, 0.1]}\nmodel.lr: {float: [0.001, 0.01]}"
    assert sweep(space, "--trials", "3").code == 0

    for number, result in results(study_folder(tmp_path)).items():
        run = study_folder(tmp_path) / f"version_{number}"
        shown = shown_hparams(run)
        assert shown["lr"] == result["config"]["model"]["lr"]
        assert shown["weight_decay"] == result["config"]["model"]["weight_decay"]
        points = EventAccumulator(str(run)).Reload().Scalars("val/best_acc")
        assert [point.value for point in points] == [pytest.approx(result["best"]["val/acc"])]


def test_another_monitor_is_what_is_compared(sweep: Sweep, tmp_path: Path) -> None:
    words = ["--trials", "3", "--checkpoints.monitor", "val/loss"]
    answer = sweep(SPACE, *words)
    losses = {number: result["best"]["val/loss"] for number, result in results(study_folder(tmp_path)).items()}
    head, *rows = answer.out.split("\n\n")[1].splitlines()

    assert (answer.code, head.split()[:2]) == (0, ["trial", "val/loss"])
    assert [int(row.split()[0]) for row in rows] == sorted(losses, key=lambda number: losses[number])
    assert f"val/loss {min(losses.values()):.4f}" in (study_folder(tmp_path) / "best.yaml").read_text()
    refused = sweep(SPACE, "--trials", "4")
    assert refused.code == 2
    assert "was begun with --checkpoints.monitor val/loss" in refused.err


def test_trials_are_no_newest_run(sweep: Sweep, cli: Cli) -> None:
    assert sweep(SPACE, "--trials", "1").code == 0

    assert cli("validate", "--ckpt_path", "best").code == 2


def test_one_seed_gives_one_sweep(sweep: Sweep, tmp_path: Path) -> None:
    for name in ("one", "other"):
        assert sweep(SPACE, "--trials", "3", "--study", name).code == 0
    one, other = (results(study_folder(tmp_path, name)) for name in ("one", "other"))

    assert [run["config"]["model"] for run in one.values()] == [run["config"]["model"] for run in other.values()]
    assert len({run["config"]["model"]["lr"] for run in one.values()}) == 3


def test_a_trial_that_is_given_up_or_fails_leaves_its_run_and_costs_nothing_else(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optuna.trial.Trial, "should_prune", lambda self: self.params["model.lr"] == 0.002)
    answer = sweep("model.lr: {grid: [0.001, 0.002, 1e+30]}\n")
    found = {result["config"]["model"]["lr"]: result for result in results(study_folder(tmp_path)).values()}

    assert answer.code == 0
    assert len(found[0.001]["epochs"]) == EPOCHS
    assert len(found[0.002]["epochs"]) == 1
    assert "given up after epoch 1" in answer.out
    assert "failed: the loss is no longer finite" in answer.out or "failed: val/loss is" in answer.out
    assert "3 trials: 1 to their end, 1 given up, 1 failed" in answer.out


@pytest.mark.parametrize(("kind", "is_pruned"), [("choice", True), ("grid", False)])
def test_only_what_is_searched_is_pruned(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, is_pruned: bool
) -> None:
    monkeypatch.setattr(studies, "STARTUP_TRIALS", 1)
    answer = sweep(f"model.lr: {{{kind}: [0.02, 1.0e-9]}}\n", "--trials", "4", "--trainer.max_epochs", "10")

    assert answer.code == 0
    assert ("given up after epoch" in answer.out) == is_pruned


def test_a_sweep_whose_trials_all_fail_is_a_failure(sweep: Sweep) -> None:
    answer = sweep("data.batch_size: {grid: [1000, 2000]}\n")

    assert answer.code == 1
    assert "no trial" in answer.err
    assert "larger than the training split" in answer.err


def test_optimizers_can_be_compared(sweep: Sweep, tmp_path: Path) -> None:
    answer = sweep("optimizer: {grid: [SGD, NAdam]}\n")

    assert (answer.code, "2 trials: 2 to their end" in answer.out) == (0, True), answer
    refused = sweep("optimizer: {grid: [SGD, LBFGS]}\n", "--study", "other")
    assert (refused.code, "--optimizer LBFGS cannot be used" in refused.err) == (2, True), refused


def test_a_callback_that_spoils_runs_is_refused_before_the_study(sweep: Sweep, tmp_path: Path) -> None:
    refused = sweep(SPACE, "--trials", "2", "--trainer.callbacks+=BatchSizeFinder")

    assert (refused.code, "BatchSizeFinder changes data.batch_size" in refused.err) == (2, True), refused
    assert not study_folder(tmp_path).exists()


def test_coloured_pictures_in_folders_are_swept_too(sweep: Sweep, cli: Cli, tmp_path: Path) -> None:
    pictures = draw_folder(tmp_path / "pictures", train=10, test=3)
    data = ["--data.dataset", "folder", "--data.data_dir", str(pictures), "--data.val_size", "0.2"]
    space = "model.network: {grid: [mlp, cnn]}\ndata.distortion.flip: {grid: [0.5]}\n"
    answer = sweep(space, *data, "--trainer.max_epochs", "1", "--workers", "1")
    found = results(study_folder(tmp_path))

    assert (answer.code, answer.err, "2 trials: 2 to their end" in answer.out) == (0, "", True), answer
    assert {result["config"]["model"]["network"] for result in found.values()} == {"mlp", "cnn"}
    assert all(result["data"]["classes"] == list(CLASSES) for result in found.values())
    assert all(result["data"]["split"] == {"train": 48, "val": 12} for result in found.values())
    assert all(result["config"]["data"]["distortion"]["flip"] == 0.5 for result in found.values())
    best = str(study_folder(tmp_path) / "best.yaml")
    assert cli("fit", "--config", best, *data, "--trainer.max_epochs", "1", "--inspection.enabled", "false").code == 0
