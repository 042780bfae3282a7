"""What 1, 2, 3 and 4 processes do, for the tests beside this file to look at.

``python -m tests.devices.scenarios ROOT DIGITS DATA`` runs all of them in forked processes and leaves ``NAME.pt``.
"""

import errno
import gc
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Callback, Trainer

import src.callbacks.checkpoint_io
import src.cli.fit
import src.data.sources
import src.launch.ranks
from src.data.batches import Batch
from src.data.datamodule import MNISTDataModule
from src.model.classifier import Classifier
from src.model.metrics import StageMetrics
from tests.devices.ranks import together

WORLD_SIZES = (1, 2, 3, 4)
# 171 to train in batches of 17, the last of one: one rank has it, the others nothing; 59 to validate, 70 to test
SIZES = ["--data.val_size", "59", "--data.batch_size", "17", "--model.hidden_units", "[32]"]
QUIET = ["--trainer.accelerator", "cpu", "--inspection.enabled", "false"]
DOUBLE = ["--trainer.precision", "64-true"]
VARIANTS = {
    "plain": DOUBLE,
    "accumulated": [*DOUBLE, "--trainer.accumulate_grad_batches", "3"],
    "clipped": [*DOUBLE, "--trainer.gradient_clip_val", "0.05"],
    "executions": [*DOUBLE, "--model.steps_per_execution", "4"],
    "own": [
        *DOUBLE,
        *["--model.loss", "CrossEntropyLoss", "--model.loss.label_smoothing", "0.2", "--model.loss.weight"],
        "[1, 2, 1, 1, 0.5, 1, 1, 1, 3, 1]",
        "--model.metrics+=MulticlassF1Score",
        "--model.metrics.average=macro",
    ],
    "float32": [],
}


class Study:
    """Where everything is."""

    def __init__(self, root: Path, digits: Path, data: Path) -> None:
        self.root = root
        self.digits = digits
        self.data = data

    def fit(self, name: str, *words: str, digits: Path | None = None) -> list[str]:
        place = ["--trainer.default_root_dir", str(self.root / name), "--data.data_dir", str(digits or self.digits)]
        return ["fit", *place, *SIZES, *QUIET, *words]

    def run(self, world_size: int, name: str, words: Any, before: Any = None) -> list[dict[str, Any]]:
        """Run a command, which must succeed."""
        ranks = together(world_size, words, self.root / name / f"output{world_size}", before)
        assert [rank["code"] for rank in ranks] == [0] * world_size, [rank["err"] for rank in ranks]
        return ranks

    def checkpoint(self, name: str, file: str = "last") -> dict[str, Any]:
        """The only run's checkpoint."""
        (run,) = (self.root / name / "lightning_logs").glob("version_*")
        content: dict[str, Any] = torch.load(run / "checkpoints" / f"{file}.ckpt", weights_only=True)
        return content


def record(folder: Path) -> Callable[[int], Callable[[], None]]:
    """Note which samples each rank trains on, and count its predictions by true class."""

    def before(rank: int) -> Callable[[], None]:
        batches: list[dict[str, Any]] = []
        confusion = {stage: torch.zeros(10, 10, dtype=torch.int64) for stage in ("train", "val", "test")}
        normalize, count = MNISTDataModule.on_after_batch_transfer, StageMetrics.count

        def noted(self: MNISTDataModule, batch: Batch, index: int) -> Batch:
            if self.trainer.training:
                positions = torch.split(batch.positions, batch.sizes)
                batches.extend({"epoch": self.trainer.current_epoch, "positions": each} for each in positions)
            return normalize(self, batch, index)

        def counted(self: StageMetrics, sums: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
            count(self, sums, logits, labels)
            confusion[self.stage].index_put_((labels, logits.argmax(1)), torch.tensor(1), accumulate=True)

        MNISTDataModule.on_after_batch_transfer = noted
        StageMetrics.count = counted
        return lambda: torch.save({"batches": batches, "confusion": confusion}, folder / f"{rank}.pt")

    folder.mkdir(parents=True, exist_ok=True)
    return before


def recorded(folder: Path, world_size: int) -> list[Any]:
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(world_size)]


def training(study: Study) -> dict[str, Any]:
    """One epoch of every variant."""
    found: dict[str, Any] = {}
    for variant, words in VARIANTS.items():
        for world_size in WORLD_SIZES:
            name = f"{variant}{world_size}"
            request = study.fit(name, *words, "--trainer.max_epochs", "1")
            ranks = study.run(world_size, name, request, record(study.root / name / "record"))
            found[name] = {
                "weights": study.checkpoint(name)["state_dict"],
                "epoch": study.checkpoint(name)["callbacks"]["History"]["epochs"][0],
                "record": recorded(study.root / name / "record", world_size),
                "wrote": [rank["wrote"] for rank in ranks],
                "root": str(study.root / name),
            }
    return found


def evaluation(study: Study) -> dict[str, Any]:
    """Validate and test, on the small data and on the real."""
    found: dict[str, Any] = {}
    study.run(1, "mnist", ["fit", *QUIET, "--data.data_dir", str(study.data), "--trainer.max_epochs", "1",
                           "--trainer.default_root_dir", str(study.root / "mnist")])  # fmt: skip
    study.run(1, "small", study.fit("small", "--trainer.max_epochs", "2"))
    for name in ("mnist", "small"):
        run = study.root / name / "lightning_logs" / "version_0"
        for command in ("validate", "test"):
            for world_size in WORLD_SIZES:
                words = [command, "--ckpt_path", str(run), "--trainer.accelerator", "cpu"]
                words += [] if (name, command) == ("small", "validate") else ["--inspection.enabled", "false"]
                folder = study.root / f"{name} {command}"
                ranks = study.run(world_size, folder.name, words, record(folder / f"record{world_size}"))
                found[f"{name} {command} {world_size}"] = {
                    "result": (run / f"{command}.json").read_text(),
                    "record": recorded(folder / f"record{world_size}", world_size),
                    "out": [rank["out"] for rank in ranks],
                }
    return found


def stopping(study: Study) -> dict[str, Any]:
    """Early stopping: how many epochs each rank has trained."""
    stop = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/acc"]
    stop += ["--trainer.callbacks.mode=max", "--trainer.callbacks.patience=1", "--trainer.max_epochs", "30"]

    def before(rank: int) -> None:
        Classifier.on_fit_end = lambda self: print("epochs", cast(Classifier, self).current_epoch)

    return {
        f"{world_size}": [rank["out"] for rank in study.run(world_size, f"stop{world_size}", words, before)]
        for world_size in WORLD_SIZES
        for words in [study.fit(f"stop{world_size}", *stop)]
    }


class Signal(Callback):
    """Sends one rank a signal, or kills it, when a step begins."""

    def __init__(self, number: int, at: int, rank: int) -> None:
        self.number = number
        self.at = at
        self.rank = rank

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if (trainer.global_step, trainer.global_rank) == (self.at, self.rank):
            os.kill(os.getpid(), self.number)


def signal_to(number: int, at: int, rank: int) -> list[str]:
    name = "tests.devices.scenarios.Signal"
    values = {"number": int(number), "at": at, "rank": rank}
    return [f"--trainer.callbacks+={name}", *(f"--trainer.callbacks.{key}={value}" for key, value in values.items())]


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


def placing(study: Study) -> dict[str, Any]:
    """Three processes start where there is no data yet."""
    folder = study.root / "placing"
    folder.mkdir()

    def before(rank: int) -> None:
        os.chdir(folder)
        for source, (datasets, fetch) in list(src.data.sources.SOURCES.items()):

            def noted(*args: Any, source: str = source, fetch: Any = fetch) -> None:
                print("fetched from", source)
                fetch(*args)

            src.data.sources.SOURCES[source] = (datasets, noted)

    words = ["fit", *QUIET, "--trainer.limit_train_batches", "2", "--trainer.max_epochs", "1"]
    return {"out": [rank["out"] for rank in study.run(3, "placing", words, before)]}


SCENARIOS = (training, evaluation, stopping, resuming, refusals, failures, ended_evaluation, placing)

if __name__ == "__main__":
    gc.freeze()  # no fork has to look through what was imported
    root, digits, data = map(Path, sys.argv[1:4])
    for scenario in SCENARIOS:
        if sys.argv[4:] and scenario.__name__ not in sys.argv[4:]:
            continue
        (root / scenario.__name__).mkdir()
        try:
            found: dict[str, Any] = scenario(Study(root / scenario.__name__, digits, data))
        except Exception:
            found = {"traceback": traceback.format_exc()}
        torch.save(found, root / f"{scenario.__name__}.pt")
