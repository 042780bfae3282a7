"""Sizes and words that the scenarios share, and a place where they run commands and note what each rank does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from src.data.batches import Batch
from src.data.datamodule import MNISTDataModule
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
                batches.extend({"epoch": self.trainer.current_epoch, "positions": shard} for shard in positions)
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
