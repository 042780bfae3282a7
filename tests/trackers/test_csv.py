"""CSV files in TensorBoard's place and beside it."""

import csv
from pathlib import Path

import pytest
import yaml

from tests.conftest import DRAWN, Cli
from tests.trackers.conftest import CONTRACT, SHORT, TRACKED, epochs, overlay
from tests.training import curves, run_folder


def rows(path: Path) -> list[dict[str, float]]:
    """The epochs of a CSV file, with the best one's result behind them."""
    with path.open() as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def test_csv_has_each_epoch_and_tensorboard_is_silent(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *overlay("csv"), *SHORT)
    run, folder = run_folder(tmp_path), tmp_path / "lightning_logs" / "csv" / "version_0"
    *lines, best = rows(folder / "metrics.csv")

    assert (answer.code, answer.err) == (0, "")
    assert {path.name for path in run.iterdir()} == CONTRACT
    assert [line["step"] for line in lines] == [1, 2]
    assert [{name: line[name] for name in TRACKED} for line in lines] == epochs(tmp_path)
    assert best["best/val/acc"] == max(line["val/acc"] for line in lines)
    assert yaml.safe_load((folder / "hparams.yaml").read_text()) == {
        **yaml.safe_load((run / "hparams.yaml").read_text()),
        "run": str(run),
    }
    assert cli("test", "--ckpt_path", "best").code == 0


def test_a_run_goes_on_with_its_trackers_or_says_what_is_missing(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *overlay("tensorboard"), *overlay("csv"), *SHORT)
    on = ["--ckpt_path", "last", "--trainer.max_epochs", "3"]
    refused = cli("fit", *on)

    assert refused.code == 2
    assert "was trained with CSVLogger, which a checkpoint does not bring back: put --config " in refused.err
    assert cli("fit", *overlay("csv"), *on).code == 0
    assert len(epochs(tmp_path)) == 3
    cli("fit", *overlay("tensorboard"), *SHORT)
    assert cli("fit", *on).code == 0


def test_several_trackers_and_tensorboard_in_the_run_folder(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *overlay("tensorboard"), *overlay("csv"), *SHORT, *DRAWN)
    run = run_folder(tmp_path)

    assert (answer.code, answer.err) == (0, "")
    assert [value for _, value in curves(run)["val/acc"]] == pytest.approx(
        [line["val/acc"] for line in rows(tmp_path / "lightning_logs/csv/version_0/metrics.csv")[:-1]]
    )
    assert {path.name for path in run.iterdir() if not path.name.startswith("events.")} > CONTRACT
    assert len(list((tmp_path / "lightning_logs").iterdir())) == 2


def test_a_resumed_run_goes_on_in_the_same_file_and_a_branch_gets_its_own(cli: Cli, tmp_path: Path) -> None:
    places = [tmp_path / "lightning_logs" / "csv" / f"version_{number}" / "metrics.csv" for number in range(2)]
    assert cli("fit", *overlay("csv"), *SHORT).code == 0
    answer = cli("fit", *overlay("csv"), "--ckpt_path", "last", "--trainer.max_epochs", "3")

    assert (answer.code, answer.err) == (0, "")
    *lines, best = rows(places[0])
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert [{name: line[name] for name in TRACKED} for line in lines] == epochs(tmp_path)
    assert best["best/val/acc"] == max(line["val/acc"] for line in lines)
    assert not places[1].exists()

    again = cli("fit", "--config", str(run_folder(tmp_path) / "config.yaml"))
    branch = [*overlay("csv"), "--ckpt_path", str(run_folder(tmp_path) / "checkpoints" / "best.ckpt")]
    assert again.code == cli("fit", *branch, "--trainer.max_epochs", "4").code == 0
    assert [line["step"] for line in rows(places[0])] == [1, 2, 3, 3]
    assert [line["step"] for line in rows(places[1])] == [1, 2, 3, 3]


@pytest.mark.parametrize("note", ["[]", '{"CSVLogger": 3}', "{", "null"])
def test_a_damaged_note_begins_another_file(note: str, cli: Cli, tmp_path: Path) -> None:
    cli("fit", *overlay("csv"), *SHORT)
    (run_folder(tmp_path) / "trackers.json").write_text(note)
    answer = cli("fit", *overlay("csv"), "--ckpt_path", "last", "--trainer.max_epochs", "3")

    assert answer.code == 0
    assert answer.err == "" if note.startswith("{") and note != "{" else "trackers.json is damaged" in answer.err
    assert [line["step"] for line in rows(tmp_path / "lightning_logs/csv/version_1/metrics.csv")] == [3, 3]


@pytest.mark.filterwarnings("default:Experiment logs directory")
def test_another_run_in_the_same_folder_of_csv_is_still_warned_of(cli: Cli) -> None:
    cli("fit", *overlay("csv"), *SHORT)
    with pytest.warns(UserWarning, match="Previous log files in this directory will be deleted"):
        cli("fit", *overlay("csv"), *SHORT, "--trainer.logger.version=0")


def test_a_tensorboard_logger_of_ones_own_keeps_its_place(cli: Cli, tmp_path: Path) -> None:
    words = ["--trainer.logger=TensorBoardLogger", f"--trainer.logger.save_dir={tmp_path / 'mine'}"]
    assert cli("fit", *words, "--inspection.enabled", "false", "--trainer.max_epochs", "1").code == 0

    assert list(tmp_path.glob("mine/lightning_logs/version_0/events.*"))
    assert not list(tmp_path.glob("lightning_logs/version_0/events.*"))
