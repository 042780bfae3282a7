"""The list of runs."""

import os
import shutil
from datetime import datetime
from pathlib import Path

import pytest

from src.cli.main import main
from tests.conftest import Cli
from tests.training import run_folder

EPOCHS = ["--trainer.max_epochs", "2", "--inspection.enabled", "false"]


def test_each_run_is_a_line_with_its_best_epoch(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    cli("fit", *EPOCHS)
    cli("fit", *EPOCHS, "--checkpoints.monitor", "val/loss", "--model.hidden_units", "[12,7]")
    cli("fit", *EPOCHS)
    (run_folder(tmp_path, 2) / "result.json").write_text("[" * 100_000)
    for number, left in ((3, ("best", "last")), (4, ("last",)), (5, ())):  # as a training that is interrupted leaves it
        shutil.copytree(run_folder(tmp_path), run_folder(tmp_path, number))
        (run_folder(tmp_path, number) / "result.json").unlink()
        for path in (run_folder(tmp_path, number) / "checkpoints").iterdir():
            if path.stem not in left:
                path.unlink()
    began = datetime(2001, 2, 3, 4, 5).timestamp()
    os.utime(run_folder(tmp_path) / "config.yaml", (began, began))  # whatever came into the folder later
    capsys.readouterr()
    assert main(["runs"]) == 0
    head, first, second, third, *interrupted = capsys.readouterr().out.splitlines()

    assert head.split() == ["run", "date", "data", "network", "epochs", "best", "epoch"]
    assert first.split()[:3] == ["version_0", "2001-02-03", "04:05"]
    assert " MNIST  mlp 256 " in first
    assert ": val/acc 0." in first
    assert " mlp 12-7 " in second
    assert ": val/loss " in second
    assert third.endswith("no result yet")
    summary = first.partition(" MNIST ")[2]
    assert interrupted[0].partition(" MNIST ")[2].split() == [*summary.split(), "(unfinished)"]
    assert interrupted[1].split()[-5:] == ["256", "2", "not", "validated", "(unfinished)"]
    assert interrupted[2].endswith("no result yet")
