"""The result of ``validate`` and ``test``, printed and kept in the checkpoint's run."""

import json
import math
import signal
import threading
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from src.common.errors import RunError
from src.common.files import write_atomic
from src.common.output import say
from src.model.classifier import Classifier
from src.model.metrics import Stage
from src.runs.folder import Run


class EvaluationResult(Callback):
    """Writes ``validate.json`` or ``test.json`` into the run that the evaluated checkpoint belongs to."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let SIGTERM end the process: Lightning would continue or, if one rank got the signal, wait for the others."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    on_test_start = on_validation_start

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._report(trainer, pl_module, "val", "validate.json")

    @override
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._report(trainer, pl_module, "test", "test.json")

    def _report(self, trainer: Trainer, pl_module: LightningModule, stage: Stage, file_name: str) -> None:
        assert isinstance(pl_module, Classifier)
        correct, samples = (pl_module.val_metrics if stage == "val" else pl_module.test_metrics).counts()
        if not trainer.is_global_zero:
            return
        values = sorted(trainer.callback_metrics.items())
        metrics = {name: float(value) for name, value in values if name.startswith(f"{stage}/")}
        if not all(map(math.isfinite, metrics.values())):
            raise RunError(
                f"{self.checkpoint} has weights so large that its logits are not finite numbers, so nothing was "
                "written: name another checkpoint."
            )
        shown = " - ".join(f"{name}: {value:.4f}" for name, value in metrics.items())
        say(f"{shown} - {correct:,} of {samples:,} right")  # first: the file may not be writable
        path = Run.of_checkpoint(self.checkpoint).path / file_name
        content = {**metrics, "samples": samples, "correct": correct, "checkpoint": str(self.checkpoint)}
        content["devices"] = trainer.world_size
        write_atomic(path, json.dumps(content, indent=2).encode())
        say(f"Result of {self.checkpoint}: {path}")
