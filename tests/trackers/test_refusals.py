"""A tracker that is not installed or cannot be reached is named before training."""

from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger
from lightning_utilities.core.imports import RequirementCache

from tests.conftest import Cli
from tests.trackers.conftest import SHORT, overlay


def test_a_tracker_that_is_not_installed_is_named(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = RequirementCache("mlflow>=1.0.0", "no_such_module")
    missing.available, missing.message = False, "Requirement 'mlflow>=1.0.0' not met."
    monkeypatch.setattr("lightning.pytorch.loggers.mlflow._MLFLOW_AVAILABLE", missing)
    answer = cli("fit", *overlay("mlflow"), *SHORT)

    assert answer.code == 2
    assert answer.err == 'error: a config needs mlflow>=1.0.0, which is not installed: pip install "mlflow>=1.0.0"\n'
    assert not (tmp_path / "lightning_logs").exists()


def test_a_tracker_that_cannot_be_reached_is_named_before_training(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: CSVLogger) -> None:
        raise RuntimeError("connection refused")

    monkeypatch.setattr(CSVLogger, "experiment", property(refuse))
    answer = cli("fit", *overlay("csv"), *SHORT)

    assert answer.code == 2
    assert answer.err == "error: --trainer.logger: CSVLogger cannot be used: connection refused\n"
    assert not list(tmp_path.glob("lightning_logs/version_*"))
