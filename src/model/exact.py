"""Exact training: the same on any number of devices, and after a resume at any batch."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torchmetrics import Metric

from src.common.errors import RunError, UsageError
from src.model.cpu import speed_up_cpu
from src.model.execution import Execution
from src.model.metrics import StageMetrics
from src.model.protocols import Batch, refuse_foreign
from src.model.schedule import step_schedules


class Exact(LightningModule):
    """Trains a network exactly; a subclass defines the loss, the metrics and the optimizer.

    Sums of loss and metrics stay on the device and are in every checkpoint; the loss is weighted so that the gradient
    is the global batch's gradient; dropout depends on the position in training; only finite values are saved.

    Args:
        metrics: Metrics of logits and labels, by name; Classifier explains the other arguments.
    """

    def __init__(self, metrics: Mapping[str, Metric], steps_per_execution: int, cuda_graph: bool, seed: int) -> None:
        super().__init__()
        if steps_per_execution < 1:
            raise UsageError(f"`steps_per_execution` must be at least 1, got {steps_per_execution}.")
        if cuda_graph and steps_per_execution == 1:
            raise UsageError("`cuda_graph` needs several steps to capture: give `steps_per_execution` 48.")
        self.automatic_optimization = steps_per_execution == 1  # else Lightning would take one step per execution
        self.steps_per_execution, self.cuda_graph, self.seed = steps_per_execution, cuda_graph, seed
        self.dropout = 0.0
        self._execution: Execution | None = None
        self.train_metrics = StageMetrics("train", metrics)
        self.val_metrics = StageMetrics("val", metrics)
        self.test_metrics = StageMetrics("test", metrics)

    def loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reported loss, a sum over the batch, and the logits ``(B, num_classes)``."""
        raise NotImplementedError

    def objective(self, images: Tensor, labels: Tensor, logits: Tensor, loss: Tensor) -> Tensor:
        """Return the sum over the batch that training minimizes; here the loss itself."""
        return loss

    def training_loss(self, images: Tensor, labels: Tensor, global_size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Compute this rank's part of the global batch's mean loss.

        Gradients are averaged over ranks, so the part is multiplied by the number of ranks: the average is then the
        gradient of the global mean, however unevenly the batch was split.

        Args:
            images: ``(B, C, H, W)`` float32.
            labels: ``(B,)`` int64.
            global_size: Number of the batch's samples on all ranks.

        Returns:
            The loss to minimize, a scalar; for the metrics, the sum of the losses, a scalar, and the logits.
        """
        loss, logits = self.loss(images, labels)
        objective = self.objective(images, labels, logits, loss)
        return objective * (self.trainer.world_size / global_size), loss, logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Return the loss to minimize, or take all steps of an execution and return None."""
        refuse_foreign(batch)
        if self._execution is not None:
            sizes, left = batch.sizes, len(batch.sizes)
            if self.trainer.max_steps >= 0:
                left = min(left, self.trainer.max_steps - self.trainer.global_step)
            images, labels = (part[: sum(sizes[:left])] for part in (batch.images, batch.labels))
            first_batch = batch_idx * self.steps_per_execution
            losses, logits = self._execution(images, labels, sizes[:left], batch.global_sizes[:left], first_batch)
            self.train_metrics.count(losses, logits, labels)
            return None
        self.seed_dropout(batch_idx)
        objective, loss, logits = self.training_loss(batch.images, batch.labels, batch.global_sizes[0])
        self.train_metrics.count(loss[None], logits, batch.labels)
        return objective

    def seed_dropout(self, batch: int) -> None:
        """Seed dropout by the position in training, so that a resumed run drops the same units."""
        if self.dropout:
            place = f"{self.seed}/{self.current_epoch}/{batch}/{self.global_rank}"
            torch.manual_seed(int.from_bytes(hashlib.sha256(place.encode()).digest()[:4]))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count a validation batch."""
        self._evaluate(batch, batch_idx, self.val_metrics)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Count a test batch."""
        self._evaluate(batch, batch_idx, self.test_metrics)

    def _evaluate(self, batch: Batch, batch_idx: int, metrics: StageMetrics) -> None:
        refuse_foreign(batch)
        if batch_idx == 0:
            metrics.reset()
        loss, logits = self.loss(batch.images, batch.labels)
        metrics.count(loss[None], logits, batch.labels)

    def setup(self, stage: str) -> None:
        """Speed up training on the CPU, and set training mode, because a notebook may have set evaluation mode."""
        if stage == "fit":
            self.train()  # else Lightning would leave dropout off
        if self.trainer.strategy.root_device.type == "cpu":
            speed_up_cpu()

    def on_fit_start(self) -> None:
        """Hide max_steps while the loops are restored: with it, Lightning 2.6 would count an untrained epoch."""
        loop = self.trainer.fit_loop.epoch_loop
        self._max_steps, loop.max_steps = loop.max_steps, -1

    def on_train_start(self) -> None:
        """Prepare executions of several steps, now that the optimizer is restored."""
        self.trainer.fit_loop.epoch_loop.max_steps = self._max_steps
        if not self.automatic_optimization:
            self._execution = Execution(self, self.training_loss, self.seed_dropout, self.cuda_graph)

    def on_train_epoch_start(self) -> None:
        """Start the epoch's sums."""
        self.train_metrics.reset()

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Step the schedulers of whole epochs if Lightning does not."""
        if self._execution is not None and self.trainer.is_last_batch:
            step_schedules(self.trainer, "epoch", self.current_epoch + 1)

    def on_train_epoch_end(self) -> None:
        """Publish ``train/*`` to callbacks, and step schedulers that monitor a metric, before the epoch is saved."""
        self._publish(self.train_metrics)
        if self.trainer.is_last_batch:
            step_schedules(self.trainer, "metric", self.current_epoch + 1)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step a scheduler, unless on_train_epoch_end has stepped it: Lightning would do so only after saving."""
        configs = self.trainer.lr_scheduler_configs
        if metric is None or any(config.scheduler is scheduler and config.interval == "step" for config in configs):
            super().lr_scheduler_step(scheduler, metric)

    def on_validation_epoch_end(self) -> None:
        """Publish ``val/*`` to callbacks."""
        self._publish(self.val_metrics)

    def on_test_epoch_end(self) -> None:
        """Publish ``test/*`` to callbacks."""
        self._publish(self.test_metrics)

    def _publish(self, metrics: StageMetrics) -> None:
        # not to fit's logger: Lightning would write train/* after the checkpoint, with the step count as its x-axis;
        # all ranks have the same means already, so their maximum changes nothing (without sync_dist Lightning warns)
        logger = False if self.trainer.state.fn == "fit" else None  # with None, Trainer.validate and test return them
        self.log_dict(metrics.compute(), logger=logger, sync_dist=True, reduce_fx="max")

    def check_finite(self) -> None:
        """Raise RunError unless the epoch's losses and the weights are finite; every rank must call this."""
        finite, epoch = self.train_metrics.finite_batches(), self.current_epoch + 1
        # float16 ends at 65,504
        way_out = "Try `trainer.precision` bf16-true" if self.trainer.precision == "16-true" else "Try a lower `lr`"
        if finite is not None:
            before = self.trainer.callback_metrics.get("train/loss")
            lr = float(self.trainer.optimizers[0].param_groups[0]["lr"])
            history = f", train/loss {float(before):.4g} in the epoch before" if before is not None else ""
            raise RunError(
                f"the loss is no longer finite: epoch {epoch}, batch {finite + 1}, lr {lr:g}{history}; "
                f"it is not saved. {way_out}."
            )
        # the weights after the last step have no loss yet
        if not torch.stack([value.isfinite().all() for value in (*self.parameters(), *self.buffers())]).all():
            raise RunError(f"the weights are no longer finite: epoch {epoch}; they are not saved. {way_out}.")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add each rank's sums of the epoch so far, for a checkpoint within an epoch."""
        for state in checkpoint.get("optimizer_states", []):
            for group in state["param_groups"]:  # a CUDA graph holds lr in a tensor; the file must not need a GPU
                group["lr"] = float(group["lr"])
                if "capturable" in group:
                    group["capturable"] = False
        checkpoint["train_sums"] = self.train_metrics.sums(self.trainer.world_size)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the epoch's sums so far, from a checkpoint within an epoch."""
        try:
            is_double = self.trainer.precision in ("64", "64-true")
        except RuntimeError:  # load_from_checkpoint has no Trainer
            is_double = torch.float64 in {value.dtype for value in checkpoint["state_dict"].values()}
        if is_double:
            self.double()  # Lightning does so only after it has loaded the weights
        world_size = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        self.train_metrics.load_sums(checkpoint.get("train_sums", {}), self.global_rank, world_size)
