"""MLflow has what the run has, goes on with it, and keeps its checkpoints."""

from pathlib import Path

import mlflow
import pytest

from src.runs.trained import Trained
from tests.conftest import Cli
from tests.trackers.conftest import CONTRACT, SHORT, TRACKED, epochs, overlay
from tests.training import run_folder

# MLflow 3.17 asks SQLAlchemy for something that is deprecated
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")


def run_of_mlflow(tmp_path: Path) -> tuple[mlflow.MlflowClient, mlflow.entities.Run]:
    """The run of this test, where MLflow keeps those of others too."""
    client = mlflow.MlflowClient("sqlite:///mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("mnist").experiment_id])
    (run,) = (run for run in runs if run.data.params["run"] == str(run_folder(tmp_path)))
    return client, run


def test_mlflow_has_each_epoch_and_says_which_run_it_is(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *overlay("mlflow"), *SHORT)
    client, run = run_of_mlflow(tmp_path)
    history = {name: client.get_metric_history(run.info.run_id, name) for name in TRACKED}

    assert answer.code == 0
    assert {path.name for path in run_folder(tmp_path).iterdir()} == CONTRACT
    for name, points in history.items():
        assert [point.step for point in points] == [1, 2]
        assert [point.value for point in points] == [epoch[name] for epoch in epochs(tmp_path)]
    assert run.data.params["lr"] == "0.001"
    assert run.data.metrics["best/val/acc"] == max(epoch["val/acc"] for epoch in epochs(tmp_path))
    assert run.info.status == "FINISHED"


def test_a_resumed_run_goes_on_in_the_same_run_of_mlflow(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *overlay("mlflow"), *SHORT)
    answer = cli("fit", *overlay("mlflow"), "--ckpt_path", "last", "--trainer.max_epochs", "3")
    client, run = run_of_mlflow(tmp_path)

    assert (answer.code, answer.err) == (0, "")
    assert [point.step for point in client.get_metric_history(run.info.run_id, "val/acc")] == [1, 2, 3]


def test_mlflow_keeps_checkpoints_that_its_registry_takes_and_predict_reads(cli: Cli, tmp_path: Path) -> None:
    monitor = ("--trainer.callbacks.monitor", "val/acc", "--trainer.callbacks.mode", "max")
    logged = (*overlay("mlflow"), "--trainer.logger.log_model", "true")
    answer = cli("fit", *logged, *SHORT, "--trainer.callbacks+=ModelCheckpoint", *monitor)
    client, run = run_of_mlflow(tmp_path)
    (artifact,) = client.list_artifacts(run.info.run_id)
    client.create_registered_model("digits")
    version = client.create_model_version("digits", f"{run.info.artifact_uri}/{artifact.path}", run.info.run_id)
    (kept,) = Path(client.download_artifacts(run.info.run_id, artifact.path)).glob("*.ckpt")

    assert (answer.code, version.version) == (0, 1)
    assert Trained.load(str(kept)).name.startswith("MLP 784-8-10")
