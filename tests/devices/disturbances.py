"""Jobs of several ranks that are stopped, refused, killed, or fail on one rank."""

import errno
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import src.callbacks.checkpoint_io
import src.launch.ranks
from src.model.classifier import Classifier
from src.model.metrics import StageMetrics
from tests.devices.ranks import together
from tests.devices.study import DOUBLE, QUIET, SIZES, Study
from tests.faults.processes import signal_to


def resuming(study: Study) -> dict[str, Any]:
    """Started on 2, stopped by a signal that reaches one of them, gone on with on 1 and 3."""
    epochs = [*DOUBLE, "--trainer.max_epochs", "4", "--checkpoints.every_n_steps", "4"]
    study.run(1, "whole", study.fit("whole", *epochs))
    found: dict[str, Any] = {"whole": study.checkpoint("whole")}
    words = study.fit("started", *epochs, *signal_to(signal.SIGTERM, 18, rank=1))
    ranks = together(2, words, study.root / "started" / "output")
    found["stopped"] = {"ranks": ranks, "checkpoint": study.checkpoint("started")}
    for world_size in (1, 3):
        name = f"resumed{world_size}"
        shutil.copytree(study.root / "started" / "lightning_logs", study.root / name / "lightning_logs")
        run = study.root / name / "lightning_logs" / "version_0"
        study.run(world_size, name, ["fit", "--ckpt_path", str(run), *QUIET, "--trainer.callbacks", "null"])
        found[name] = study.checkpoint(name)
    return found


def refusals(study: Study) -> dict[str, Any]:
    """Requests that cannot be met by all ranks."""
    other = study.root / "other digits"
    shutil.copytree(study.digits, other)
    labels = other / "train-labels-idx1-ubyte"
    content = bytearray(labels.read_bytes())
    content[20] = (content[20] + 1) % 10
    labels.write_bytes(content)
    epoch = ["--trainer.max_epochs", "1"]

    def only(rank: int, words: list[str], otherwise: list[str]) -> Callable[[int], list[str]]:
        return lambda number: words if number == rank else otherwise

    def elsewhere(rank: int) -> None:
        src.launch.ranks.SHARED_FOLDER_SECONDS = 0.5
        folder = study.root / f"machine{rank}"
        folder.mkdir()
        os.chdir(folder)

    def fit(name: str, *words: str) -> list[str]:
        return study.fit(f"refused {name}", *epoch, *words)

    relative = ["fit", "--data.data_dir", str(study.digits), *SIZES, *QUIET, *epoch]
    wrong = fit("wrong", "--model.width", "3")
    cases: dict[str, tuple[Any, ...]] = {
        "a wrong flag": (wrong,),
        "a wrong flag on rank 2": (only(2, wrong, fit("wrong2")),),
        "a wrong flag on rank 0": (only(0, wrong, fit("wrong0")),),
        "too many devices": (fit("devices", "--trainer.devices", "4"),),
        "too many machines": (fit("machines", "--trainer.num_nodes", "2"),),
        "other data": (
            only(2, study.fit("refused data", *epoch, digits=other), fit("data")),
            None,
            "torchrun on machines",
        ),
        "no shared folder": (relative, elsewhere, "torchrun on machines"),
        "no such checkpoint": (["test", "--ckpt_path", str(study.root / "nowhere")],),
        "what Lightning refuses": (fit("clip", "--trainer.gradient_clip_algorithm", "by_guess"),),
    }
    return {name: together(3, words, study.root / f"output {name}", *how) for name, (words, *how) in cases.items()}


def failures(study: Study) -> dict[str, Any]:
    """What goes wrong on one rank while all of them train."""

    def full(rank: int) -> None:
        def refuse(path: Path, content: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

        src.callbacks.checkpoint_io.write_atomic = refuse

    def diverges(rank: int) -> None:
        if rank == 1:  # in its shard of the last batch of an epoch, which no other rank sees
            compute = Classifier.training_loss

            def broken(self: Classifier, *arguments: Any) -> tuple[torch.Tensor, ...]:
                loss, label_loss, logits = compute(self, *arguments)
                return loss, label_loss * float("nan") if self.trainer.is_last_batch else label_loss, logits

            Classifier.training_loss = broken

    def run(name: str, *words: str, before: Any = None) -> list[dict[str, Any]]:
        return together(3, study.fit(name, "--trainer.max_epochs", "2", *words), study.root / f"output {name}", before)

    return {
        "a full disk": run("full", before=full),
        "no number": run("diverges", before=diverges),
        "a killed process": run("killed", *signal_to(signal.SIGKILL, 5, rank=1)),
    }


def ended_evaluation(study: Study) -> dict[str, Any]:
    """A test that gets SIGTERM on one rank."""
    study.run(1, "run", study.fit("run", "--trainer.max_epochs", "1"))

    def before(rank: int) -> None:
        count = StageMetrics.count

        def ended(self: StageMetrics, *counted: torch.Tensor) -> None:
            if self.stage == "test" and rank == 1:
                signal.raise_signal(signal.SIGTERM)
            count(self, *counted)

        StageMetrics.count = ended

    run = study.root / "run" / "lightning_logs" / "version_0"
    words = ["test", "--ckpt_path", str(run), *QUIET]
    return {"ranks": together(2, words, study.root / "output", before)}
