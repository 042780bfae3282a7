"""Coloured pictures in folders, and networks to train on them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from src.cli.main import main
from tests.pictures import draw_folder

NETWORKS = {
    "mlp": ["--model.hidden_units", "[16]"],
    "cnn": ["--model.network", "cnn", "--model.hidden_units", "[16]"],
    "own": ["--model.network", "tests.pictures.OwnNetwork", "--model.network.width", "6"],
}
Fit = Callable[..., int]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def fit(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fit:
    """Train on them, with the runs in tmp_path."""
    monkeypatch.chdir(tmp_path)
    data = ["--data.dataset", "folder", "--data.data_dir", str(pictures), "--data.val_size", "0.2"]

    def run(*words: str) -> int:
        new = [*data, "--data.batch_size", "32"] if "--ckpt_path" not in words else []
        return main(["fit", *new, "--trainer.accelerator", "cpu", *words])

    return run
