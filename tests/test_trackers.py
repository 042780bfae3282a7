"""Other trackers than TensorBoard, alone and beside it."""

import csv
import json
from pathlib import Path

import mlflow
import pytest
import yaml
from lightning.pytorch.loggers import CSVLogger
from lightning_utilities.core.imports import RequirementCache

from src.runs.trained import Trained
from tests.conftest import DRAWN, REPOSITORY, Cli, run_process
from tests.test_cli import curves, run_folder

EPOCHS = ("--trainer.max_epochs", "2", "--model.hidden_units", "[8]")
CONTRACT = {".lock", "checkpoints", "config.yaml", "hparams.yaml", "result.json", "trackers.json"}
METRICS = ("train/loss", "train/acc", "val/loss", "val/acc", "lr")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The overlays name places in the working folder."""
    monkeypatch.chdir(tmp_path)


def overlay(name: str) -> tuple[str, str]:
    return "--config", str(REPOSITORY / "configs" / f"{name}.yaml")


def epochs(tmp_path: Path, number: int = 0) -> list[dict[str, float]]:
    result = json.loads((run_folder(tmp_path, number) / "result.json").read_text())
    return [{name: epoch[name] for name in METRICS} for epoch in result["epochs"]]


def rows(path: Path) -> list[dict[str, float]]:
    """The epochs of a CSV file, with the best one's result behind them."""
    with path.open() as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def test_csv_has_each_epoch_and_tensorboard_is_silent(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *overlay("csv"), *EPOCHS)
    run, folder = run_folder(tmp_path), tmp_path / "lightning_logs" / "csv" / "version_0"
    *lines, best = rows(folder / "metrics.csv")

    assert (answer.code, answer.err) == (0, "")
    assert {path.name for path in run.iterdir()} == CONTRACT
    assert [line["step"] for line in lines] == [1, 2]
    assert [{name: line[name] for name in METRICS} for line in lines] == epochs(tmp_path)
    assert best["best/val/acc"] == max(line["val/acc"] for line in lines)
    assert yaml.safe_load((folder / "hparams.yaml").read_text()) == {
        **yaml.safe_load((run / "hparams.yaml").read_text()),
        "run": str(run),
    }
    assert cli("test", "--ckpt_path", "best").code == 0


def test_a_run_goes_on_with_its_trackers_or_says_what_is_missing(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *overlay("tensorboard"), *overlay("csv"), *EPOCHS)
    on = ["--ckpt_path", "last", "--trainer.max_epochs", "3"]
    refused = cli("fit", *on)

    assert refused.code == 2
    assert "was trained with CSVLogger, which a checkpoint does not bring back: put --config " in refused.err
    assert cli("fit", *overlay("csv"), *on).code == 0
    assert len(epochs(tmp_path)) == 3
    cli("fit", *overlay("tensorboard"), *EPOCHS)
    assert cli("fit", *on).code == 0


def test_several_trackers_and_tensorboard_in_the_run_folder(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *overlay("tensorboard"), *overlay("csv"), *EPOCHS, *DRAWN)
    run = run_folder(tmp_path)

    assert (answer.code, answer.err) == (0, "")
    assert [value for _, value in curves(run)["val/acc"]] == pytest.approx(
        [line["val/acc"] for line in rows(tmp_path / "lightning_logs/csv/version_0/metrics.csv")[:-1]]
    )
    assert {path.name for path in run.iterdir() if not path.name.startswith("events.")} > CONTRACT
    assert len(list((tmp_path / "lightning_logs").iterdir())) == 2


def test_a_resumed_run_goes_on_in_the_same_file_and_a_branch_gets_its_own(cli: Cli, tmp_path: Path) -> None:
    places = [tmp_path / "lightning_logs" / "csv" / f"version_{number}" / "metrics.csv" for number in range(2)]
    assert cli("fit", *overlay("csv"), *EPOCHS).code == 0
    answer = cli("fit", *overlay("csv"), "--ckpt_path", "last", "--trainer.max_epochs", "3")

    assert (answer.code, answer.err) == (0, "")
    *lines, best = rows(places[0])
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert [{name: line[name] for name in METRICS} for line in lines] == epochs(tmp_path)
    assert best["best/val/acc"] == max(line["val/acc"] for line in lines)
    assert not places[1].exists()

    again = cli("fit", "--config", str(run_folder(tmp_path) / "config.yaml"))
    branch = [*overlay("csv"), "--ckpt_path", str(run_folder(tmp_path) / "checkpoints" / "best.ckpt")]
    assert again.code == cli("fit", *branch, "--trainer.max_epochs", "4").code == 0
    assert [line["step"] for line in rows(places[0])] == [1, 2, 3, 3]
    assert [line["step"] for line in rows(places[1])] == [1, 2, 3, 3]


@pytest.mark.parametrize("note", ["[]", '{"CSVLogger": 3}', "{", "null"])
def test_a_damaged_note_begins_another_file(note: str, cli: Cli, tmp_path: Path) -> None:
    cli("fit", *overlay("csv"), *EPOCHS)
    (run_folder(tmp_path) / "trackers.json").write_text(note)
    answer = cli("fit", *overlay("csv"), "--ckpt_path", "last", "--trainer.max_epochs", "3")

    assert answer.code == 0
    assert answer.err == "" if note.startswith("{") and note != "{" else "trackers.json is damaged" in answer.err
    assert [line["step"] for line in rows(tmp_path / "lightning_logs/csv/version_1/metrics.csv")] == [3, 3]


@pytest.mark.filterwarnings("default:Experiment logs directory")
def test_another_run_in_the_same_folder_of_csv_is_still_warned_of(cli: Cli) -> None:
    cli("fit", *overlay("csv"), *EPOCHS)
    with pytest.warns(UserWarning, match="Previous log files in this directory will be deleted"):
        cli("fit", *overlay("csv"), *EPOCHS, "--trainer.logger.version=0")


# MLflow 3.17 asks SQLAlchemy for something that is deprecated
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
def test_mlflow_has_each_epoch_and_says_which_run_it_is(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *overlay("mlflow"), *EPOCHS)
    client = mlflow.MlflowClient("sqlite:///mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("mnist").experiment_id])
    history = {name: client.get_metric_history(run.info.run_id, name) for name in METRICS}

    assert answer.code == 0
    assert {path.name for path in run_folder(tmp_path).iterdir()} == CONTRACT
    for name, points in history.items():
        assert [point.step for point in points] == [1, 2]
        assert [point.value for point in points] == [epoch[name] for epoch in epochs(tmp_path)]
    assert run.data.params["run"] == str(run_folder(tmp_path))
    assert run.data.params["lr"] == "0.001"
    assert run.data.metrics["best/val/acc"] == max(epoch["val/acc"] for epoch in epochs(tmp_path))
    assert run.info.status == "FINISHED"


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
def test_a_resumed_run_goes_on_in_the_same_run_of_mlflow(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *overlay("mlflow"), *EPOCHS)
    answer = cli("fit", *overlay("mlflow"), "--ckpt_path", "last", "--trainer.max_epochs", "3")
    client = mlflow.MlflowClient("sqlite:///mlflow.db")

    assert (answer.code, answer.err) == (0, "")
    runs = client.search_runs([client.get_experiment_by_name("mnist").experiment_id])
    (run,) = (run for run in runs if run.data.params["run"] == str(run_folder(tmp_path)))  # not another test's
    assert [point.step for point in client.get_metric_history(run.info.run_id, "val/acc")] == [1, 2, 3]


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
def test_mlflow_keeps_checkpoints_that_its_registry_takes_and_predict_reads(cli: Cli, tmp_path: Path) -> None:
    monitor = ("--trainer.callbacks.monitor", "val/acc", "--trainer.callbacks.mode", "max")
    logged = (*overlay("mlflow"), "--trainer.logger.log_model", "true")
    answer = cli("fit", *logged, *EPOCHS, "--trainer.callbacks+=ModelCheckpoint", *monitor)
    client = mlflow.MlflowClient("sqlite:///mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("mnist").experiment_id])
    (run,) = (run for run in runs if run.data.params["run"] == str(run_folder(tmp_path)))
    (artifact,) = client.list_artifacts(run.info.run_id)
    client.create_registered_model("digits")
    version = client.create_model_version("digits", f"{run.info.artifact_uri}/{artifact.path}", run.info.run_id)
    (kept,) = Path(client.download_artifacts(run.info.run_id, artifact.path)).glob("*.ckpt")

    assert (answer.code, version.version) == (0, 1)
    assert Trained.load(str(kept)).name.startswith("MLP 784-8-10")


def test_a_resumed_run_goes_on_in_the_same_run_of_wandb_and_a_branch_gets_its_own(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline, W&B keeps a folder for each process, named after the time and the run's id."""
    monkeypatch.setenv("WANDB_MODE", "offline")

    def ids(*words: str) -> set[str]:
        answer = run_process("fit", *overlay("wandb"), *EPOCHS[2:], *words, cwd=tmp_path)
        assert answer.code == 0, answer
        return {path.name.rpartition("-")[2] for path in (tmp_path / "wandb").glob("offline-run-*")}

    data = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
    (first,) = ids(*data, "--trainer.max_epochs", "1")
    assert ids("--ckpt_path", "last", "--trainer.max_epochs", "2") == {first}
    best = run_folder(tmp_path) / "checkpoints" / "best.ckpt"
    assert len(ids("--ckpt_path", str(best), "--trainer.max_epochs", "3")) == 2


def test_a_tracker_that_is_not_installed_is_named(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = RequirementCache("mlflow>=1.0.0", "no_such_module")
    missing.available, missing.message = False, "Requirement 'mlflow>=1.0.0' not met."
    monkeypatch.setattr("lightning.pytorch.loggers.mlflow._MLFLOW_AVAILABLE", missing)
    answer = cli("fit", *overlay("mlflow"), *EPOCHS)

    assert answer.code == 2
    assert answer.err == 'error: a config needs mlflow>=1.0.0, which is not installed: pip install "mlflow>=1.0.0"\n'
    assert not (tmp_path / "lightning_logs").exists()


def test_a_tracker_that_cannot_be_reached_is_named_before_training(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: CSVLogger) -> None:
        raise RuntimeError("connection refused")

    monkeypatch.setattr(CSVLogger, "experiment", property(refuse))
    answer = cli("fit", *overlay("csv"), *EPOCHS)

    assert answer.code == 2
    assert answer.err == "error: --trainer.logger: CSVLogger cannot be used: connection refused\n"
    assert not list(tmp_path.glob("lightning_logs/version_*"))


def test_a_tensorboard_logger_of_ones_own_keeps_its_place(cli: Cli, tmp_path: Path) -> None:
    own = ["--trainer.logger=TensorBoardLogger", f"--trainer.logger.save_dir={tmp_path / 'mine'}"]
    assert cli("fit", *own, "--inspection.enabled", "false", "--trainer.max_epochs", "1").code == 0

    assert list(tmp_path.glob("mine/lightning_logs/version_0/events.*"))
    assert not list(tmp_path.glob("lightning_logs/version_0/events.*"))
