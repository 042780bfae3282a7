"""A run that is stopped while its pictures are drawn."""

import signal
from pathlib import Path

import pytest

from src.inspection.callback import Inspection
from tests.conftest import DRAWN, Cli
from tests.inspection.conftest import shown
from tests.training import EPOCHS, run_folder


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_pictures_are_drawn_says_how_to_get_them(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Inspection, "_draw_split", lambda *_: signal.raise_signal(signal.SIGINT))
    stopped = cli("fit", *EPOCHS, *DRAWN)
    unsaved = cli("fit", *EPOCHS, *DRAWN, "--trainer.enable_checkpointing", "false")
    run = run_folder(tmp_path)
    monkeypatch.undo()

    assert stopped.code == 130
    assert stopped.err.strip() == (
        f"Stopped by SIGINT. The network is saved; its pictures: "
        f"python -m src.cli fit --ckpt_path {run} --trainer.max_epochs 3"
    )
    assert unsaved.err.strip() == "Stopped by SIGINT."
    assert cli("fit", "--ckpt_path", str(run)).code == 0
    assert "val/confusion" in shown(run).Tags()["images"]
