"""Short trainings with a tracker, in a working folder of their own."""

from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.training import METRICS, recorded, run_folder

SHORT = ("--trainer.max_epochs", "2", "--model.hidden_units", "[8]")
CONTRACT = {".lock", "checkpoints", "config.yaml", "hparams.yaml", "result.json", "trackers.json"}
TRACKED = (*METRICS, "lr")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The overlays name places in the working folder."""
    monkeypatch.chdir(tmp_path)


def overlay(name: str) -> tuple[str, str]:
    return "--config", str(REPOSITORY / "configs" / f"{name}.yaml")


def epochs(tmp_path: Path) -> list[dict[str, float]]:
    records = recorded(run_folder(tmp_path))["epochs"]
    return [{name: epoch[name] for name in TRACKED} for epoch in records]
