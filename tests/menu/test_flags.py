"""Flags and variables with an effect of their own: overfitting, precision, torch.compile, the port of a job."""

import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from src.model.classifier import Classifier
from tests.conftest import Cli
from tests.menu.items import CB, QUIET
from tests.training import checkpoint, run_folder


def test_a_port_that_is_taken_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("MASTER_PORT", str(port))

        def fail(*_: object, **__: object) -> None:
            store = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
            raise AssertionError(store)

        monkeypatch.setattr(Classifier, "setup", fail)
        answer = cli("fit", *QUIET)

    assert answer.err == f"error: MASTER_PORT {port} is used by another program: set another port.\n"
    assert not list(tmp_path.glob("lightning_logs/version_*"))


class Images(Callback):
    """Keeps the positions of the batches of each epoch."""

    seen: list[list[int]]

    def __init__(self) -> None:
        Images.seen = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: object, batch: Any, batch_idx: int) -> None:
        Images.seen.append(batch.positions.tolist())


@pytest.mark.filterwarnings("ignore:You requested to overfit:UserWarning")
def test_overfit_batches_are_the_same_in_every_epoch(cli: Cli) -> None:
    words = ["--trainer.overfit_batches", "2", "--trainer.max_epochs", "3", f"{CB}+=tests.menu.test_flags.Images"]
    assert cli("fit", "--inspection.enabled", "false", *words).code == 0

    first = Images.seen[:2]
    assert first[0] != first[1]
    assert Images.seen == first * 3


@pytest.mark.filterwarnings("ignore:You requested to overfit:UserWarning")
def test_one_batch_is_learned_by_heart(cli: Cli) -> None:
    words = ["--trainer.overfit_batches", "1", "--trainer.max_epochs", "60", "--inspection.enabled", "false"]
    assert "acc: 1.0000" in cli("fit", *words).out.splitlines()[-6]


def test_variables_that_lightning_reads_are_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_TRAINER_MAX_EPOCHS", "3")
    answer = cli("fit", *QUIET)

    assert answer.code == 2
    assert answer.err == "error: PL_TRAINER_MAX_EPOCHS is not read here: unset it, and use --trainer.max_epochs 3.\n"


def test_half_precision_on_the_processor_does_not_blame_the_learning_rate(cli: Cli) -> None:
    answer = cli("fit", "--inspection.enabled", "false", "--trainer.precision", "16-true")

    assert answer.code == 1
    assert answer.err.endswith("it is not saved. Try --trainer.precision bf16-true.\n")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of what torch.compile imports
def test_a_compiled_network_has_the_same_checkpoints(cli: Cli, tmp_path: Path) -> None:
    assert cli("fit", *QUIET, "--model.compile", "true").code == 0
    assert cli("fit", *QUIET).code == 0

    compiled, plain = (checkpoint(run_folder(tmp_path, number))["state_dict"] for number in (0, 1))
    assert compiled.keys() == plain.keys()
    assert all(torch.allclose(value, compiled[name], atol=1e-4) for name, value in plain.items())
    more = ["--trainer.max_epochs", "3", "--model.compile", "false"]
    assert cli("fit", "--ckpt_path", str(run_folder(tmp_path)), *more).code == 0
    assert cli("test", "--ckpt_path", str(run_folder(tmp_path))).code == 0


def test_without_a_compiler_it_is_said_at_the_start(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.cli.refusals.shutil.which", lambda name: None)
    answer = cli("fit", *QUIET, "--model.compile", "true")

    assert answer.err == (
        "error: --model.compile true needs a C++ compiler, and none is found: install g++, or leave it out.\n"
    )
