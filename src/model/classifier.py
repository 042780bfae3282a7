"""The LightningModule: loss, metrics and optimizer around the MLP."""

import hashlib
from collections.abc import Sequence
from math import cos, inf, pi
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.utilities.distributed import gather_all_tensors

from src.errors import RunError, UsageError
from src.model.cpu import speed_up_cpu
from src.model.execution import Execution
from src.model.mlp import MLP

Stage = Literal["train", "val", "test"]
Batch = tuple[Tensor, Tensor, Tensor, list[int], list[int], int | None]
"""images ``(B, 28, 28)`` float32, labels ``(B,)`` int64, positions ``(B,)`` int64; for each of the optimizer steps
that it holds how many of the samples are for it, and how many that step has on all ranks together; the epoch."""


class MeanLoss(Metric):
    """Mean of a loss over samples, exact for batches of any size, and how long it stayed finite.

    torchmetrics 1.9's ``MeanMetric`` ignores weights when its check for NaN is off, and with the check on it reads
    every batch back from the device.
    """

    full_state_update = False
    total: Tensor
    samples: Tensor
    finite: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("samples", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("finite", torch.tensor(0), dist_reduce_fx="min")

    def update(self, loss_sums: Tensor, samples: int) -> None:
        """Add batches: the sum of the losses of each, ``(batches,)`` float32, and how many samples they have."""
        self.finite += (self.total + loss_sums.cumsum(0)).isfinite().sum()
        self.total += loss_sums.sum()
        self.samples += samples

    def compute(self) -> Tensor:
        """Return the mean, a float32 scalar."""
        return self.total / self.samples


class MLPClassifier(LightningModule):
    """Classifies images with an MLP, trained by Adam on softmax cross-entropy.

    Args:
        hidden_units: Units of each hidden layer, such as [256] or [1000, 1000].
        dropout: Probability with which a hidden unit is dropped in training, at least 0 and below 1.
        lr: Learning rate of Adam, above 0; with a warm-up or a cosine the highest.
        weight_decay: How much of each weight and bias, times the learning rate, a step takes away (AdamW).
        warmup_steps: Over so many optimizer steps the learning rate rises linearly to ``lr``.
        cosine: Let the learning rate fall to 0 along half a cosine until the end of training.
        num_classes: Number of classes.
        steps_per_execution: Optimizer steps that run in one batch of Lightning's, as in Keras. The weights are the
            same to the last bit; with more than one, Lightning's own cost per batch is paid less often, and callbacks,
            checkpoints and the progress bar come between executions only.
        cuda_graph: Run the steps of an execution as one CUDA graph, for networks whose kernels take less time than
            their launches. Needs one GPU and several steps_per_execution.
        seed: What is dropped is a function of this and of the batch's epoch, number and rank.

    Raises:
        UsageError: If an argument is out of its range.
    """

    def __init__(
        self,
        hidden_units: Sequence[int] = (256,),
        dropout: float = 0.0,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        cosine: bool = False,
        num_classes: int = 10,
        steps_per_execution: int = 1,
        cuda_graph: bool = False,
        seed: int = 42,
    ) -> None:
        super().__init__()
        if steps_per_execution < 1:
            raise UsageError(f"--model.steps_per_execution must be at least 1, got {steps_per_execution}.")
        if not 0 < lr < float("inf"):
            raise UsageError(f"--model.lr must be a positive number, got {lr}.")
        if not 0 <= weight_decay < float("inf"):
            raise UsageError(f"--model.weight_decay must be at least 0, got {weight_decay}.")
        if warmup_steps < 0:
            raise UsageError(f"--model.warmup_steps must be at least 0, got {warmup_steps}.")
        if cuda_graph and steps_per_execution == 1:
            raise UsageError("--model.cuda_graph needs several steps to capture: give --model.steps_per_execution 48.")
        self.save_hyperparameters(logger=False)
        self.lr = lr
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps
        self.cosine = cosine
        self.automatic_optimization = steps_per_execution == 1  # else Lightning would take one step for all of them
        self.steps_per_execution = steps_per_execution
        self.cuda_graph = cuda_graph
        self.dropout = dropout
        self.seed = seed
        self._execution: Execution | None = None
        self._total_steps = inf
        self.net = MLP(hidden_units=hidden_units, num_classes=num_classes, dropout=dropout)
        # The sums stay on the device and are read once per epoch; validate_args would read them every step.
        for stage in ("train", "val", "test"):
            setattr(self, f"{stage}_loss", MeanLoss())
            setattr(self, f"{stage}_acc", MulticlassAccuracy(num_classes, average="micro", validate_args=False))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits.

        Args:
            images: ``(B, 28, 28)`` float32, normalized by the data module.

        Returns:
            ``(B, num_classes)`` float32.
        """
        logits: Tensor = self.net(images.to(self.dtype))  # float64 with --trainer.precision 64-true
        return logits

    def metrics(self, stage: Stage) -> dict[str, Metric]:
        """Return the metrics of a stage by the names under which they are logged."""
        return {f"{stage}/{name}": getattr(self, f"{stage}_{name}") for name in ("loss", "acc")}

    def epoch_metrics(self, stage: Stage) -> dict[str, Tensor]:
        """Compute the epoch's means of a stage over all devices; every rank must call this.

        Returns:
            Scalars named ``{stage}/loss`` (mean cross-entropy in nats) and ``{stage}/acc`` (between 0 and 1).
        """
        return {name: metric.compute() for name, metric in self.metrics(stage).items()}

    def running_metrics(self, stage: Stage) -> dict[str, Tensor]:
        """Return the same for this rank's samples so far, without talking to other ranks."""
        loss: Any = getattr(self, f"{stage}_loss")
        acc: Any = getattr(self, f"{stage}_acc")
        return {
            f"{stage}/loss": loss.total / loss.samples,
            f"{stage}/acc": acc.tp.sum() / (acc.tp + acc.fn).sum(),
        }

    def _step(self, batch: Batch, stage: Stage) -> Tensor:
        """Count a batch into the metrics of a stage and return the sum of its losses."""
        images, labels = batch[:2]
        logits = self(images)
        loss_sum = functional.cross_entropy(logits, labels, reduction="sum")
        self._count(stage, loss_sum[None], logits, labels)
        return loss_sum

    def _count(self, stage: Stage, loss_sums: Tensor, logits: Tensor, labels: Tensor) -> None:
        getattr(self, f"{stage}_loss").update(loss_sums.detach(), len(labels))
        if len(labels):  # with more devices than samples in a batch, some have none
            getattr(self, f"{stage}_acc").update(logits.detach(), labels)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Return this rank's part of the global batch's mean loss, or take all steps of an execution.

        Gradients are averaged over ranks, so the part is multiplied by their number: the average is then the
        gradient of the global mean, however unevenly the batch was split.
        """
        if not self.automatic_optimization:
            self._execute(batch, batch_idx * self.steps_per_execution)
            return None
        global_size = batch[4][0]
        self.seed_dropout(batch_idx)
        return self._step(batch, "train") * (self.trainer.world_size / global_size)

    def _execute(self, batch: Batch, first_batch: int) -> None:
        """Take the optimizer steps of a batch and count their metrics at once."""
        images, labels, _, sizes, global_sizes, _ = batch
        if self.trainer.max_steps >= 0:
            left = self.trainer.max_steps - self.trainer.global_step
            sizes, global_sizes = sizes[:left], global_sizes[:left]
            images, labels = images[: sum(sizes)], labels[: sum(sizes)]
        assert self._execution is not None
        loss_sums, logits = self._execution(images, labels, sizes, global_sizes, first_batch)
        self._count("train", loss_sums, logits, labels)

    def seed_dropout(self, batch: int) -> None:
        """Make what is dropped depend on where training is, so that a resumed run drops the same.

        Args:
            batch: The number of the batch in its epoch, counted from 0.
        """
        if self.dropout:
            place = f"{self.seed}/{self.current_epoch}/{batch}/{self.global_rank}"
            torch.manual_seed(int.from_bytes(hashlib.sha256(place.encode()).digest()[:4]))

    def check_finite(self) -> None:
        """Make sure that the losses of the epoch so far are numbers on all devices; every rank must call this.

        Raises:
            RunError: On all of them, if one is not, with the first such batch.
        """
        loss: Any = self.train_loss
        with loss.sync_context():
            is_finite, finite = bool(loss.total.isfinite()), int(loss.finite)
        if not is_finite:
            before = self.trainer.callback_metrics.get("train/loss")
            lr = float(self.trainer.optimizers[0].param_groups[0]["lr"])
            raise RunError(
                f"the loss is no finite number any more: epoch {self.current_epoch + 1}, batch {finite + 1}, "
                f"lr {lr:g}"
                + (f", train/loss {float(before):.4g} in the epoch before" if before is not None else "")
                + "; the checkpoints before it are kept. Try a lower --model.lr."
            )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count a validation batch."""
        self._step(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Count a test batch."""
        self._step(batch, "test")

    def setup(self, stage: str) -> None:
        """Get the CPU ready if it computes."""
        if self.trainer.strategy.root_device.type == "cpu":
            speed_up_cpu()

    def on_train_start(self) -> None:
        """Get ready to run several steps at once, the optimizer being restored by now, and for the schedule."""
        if self.cosine:
            # not earlier: asked before the loaders' state is restored, Lightning would never restore it
            self._total_steps = self._count_steps()
            if self._total_steps == inf:
                raise UsageError("--model.cosine needs to know the end of training: give --trainer.max_epochs.")
        if not self.automatic_optimization:
            self._execution = Execution(self, self.cuda_graph)

    def on_train_epoch_start(self) -> None:
        """Start the epoch's sums."""
        self._reset("train")

    def on_validation_epoch_start(self) -> None:
        """Start the epoch's sums."""
        self._reset("val")

    def on_test_epoch_start(self) -> None:
        """Start the epoch's sums."""
        self._reset("test")

    def on_train_epoch_end(self) -> None:
        """Publish ``train/loss`` and ``train/acc`` to callbacks."""
        self._publish("train")

    def on_validation_epoch_end(self) -> None:
        """Publish ``val/loss`` and ``val/acc`` to callbacks."""
        self._publish("val")

    def on_test_epoch_end(self) -> None:
        """Publish ``test/loss`` and ``test/acc`` to callbacks."""
        self._publish("test")

    def _reset(self, stage: Stage) -> None:
        for metric in self.metrics(stage).values():
            metric.reset()

    def _publish(self, stage: Stage) -> None:
        # not to the logger: Lightning would write train/* after the checkpoint, with the step count as its x-axis
        # (all ranks have the same means already, so their maximum changes nothing; without sync_dist Lightning warns)
        self.log_dict(self.epoch_metrics(stage), logger=False, sync_dist=True, reduce_fx="max")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return Adam as Keras has it (eps 1e-7 instead of torch's 1e-8), and what changes its learning rate."""
        kind = torch.optim.AdamW if self.weight_decay else torch.optim.Adam
        optimizer = kind(
            self.parameters(), self.lr, betas=(0.9, 0.999), eps=1e-7, weight_decay=self.weight_decay, fused=True
        )
        if not self.warmup_steps and not self.cosine:
            return optimizer
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._share_of_lr)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _count_steps(self) -> float:
        """Return the optimizer steps of the whole training, perhaps infinitely many."""
        steps = self.trainer.estimated_stepping_batches
        if not self.automatic_optimization:  # Lightning counts its own batches, which hold several steps
            loader: Any = self.trainer.train_dataloader
            limits = (self.trainer.max_steps, (self.trainer.max_epochs or -1) * loader.batches)
            steps = min((limit for limit in limits if limit >= 0), default=inf)
        return steps

    def _share_of_lr(self, step: int) -> float:
        """Return the factor of the learning rate for a step, counted from 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if not self.cosine or step == 0:
            return 1.0
        done = (step - self.warmup_steps) / max(1, self._total_steps - self.warmup_steps)
        return (1 + cos(pi * min(1.0, done))) / 2

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the epoch's sums so far, of each rank, for a checkpoint in the middle of an epoch."""
        # plain values, so that the file loads with weights_only=True
        checkpoint["hyper_parameters"]["hidden_units"] = list(checkpoint["hyper_parameters"]["hidden_units"])
        for state in checkpoint.get("optimizer_states", []):
            for group in state["param_groups"]:  # a CUDA graph holds lr in a tensor; the file must not need a GPU
                group.update(lr=float(group["lr"]), capturable=False)
        checkpoint["train_sums"] = {}
        for name, metric in self.metrics("train").items():
            states: Any = metric.metric_state
            checkpoint["train_sums"][name] = {key: self._of_all_ranks(value) for key, value in states.items()}

    def _of_all_ranks(self, value: Tensor) -> Tensor:
        """Return a copy of each rank's value, ``(ranks, ...)``; every rank must call this."""
        return torch.stack(gather_all_tensors(value) if self.trainer.world_size > 1 else [value])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the epoch's sums so far: those of this rank or, if there were more or fewer ranks, one takes all."""
        if any(weight.dtype == torch.float64 for weight in checkpoint["state_dict"].values()):
            self.double()  # with 64-true Lightning does so only after it has loaded the weights
        # load_from_checkpoint has no Trainer to ask
        world_size = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        for name, metric in self.metrics("train").items():
            for key, value in checkpoint.get("train_sums", {}).get(name, {}).items():
                ranks = value.reshape(-1, *getattr(metric, key).shape)
                if len(ranks) == world_size:
                    own = ranks[self.global_rank]
                elif key == "finite":
                    own = ranks.amin(dim=0)
                else:
                    own = ranks.sum(dim=0) * (self.global_rank == 0)
                setattr(metric, key, own.to(self.device))
