"""The LightningModule: loss, metrics and optimizer around a network."""

import hashlib
from collections.abc import Sequence
from math import inf
from typing import Any, Protocol

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional

from src.common.errors import RunError, UsageError
from src.model.cpu import speed_up_cpu
from src.model.distillation import Distillation
from src.model.execution import Execution
from src.model.metrics import StageMetrics
from src.model.networks import NetworkName, build_network
from src.model.schedule import share_of_lr


class Batch(Protocol):
    """What the model takes from a batch, whatever else it has."""

    @property
    def images(self) -> Tensor:
        """``(B, 28, 28)`` float32."""

    @property
    def labels(self) -> Tensor:
        """``(B,)`` int64."""

    @property
    def sizes(self) -> list[int]:
        """For each optimizer step how many of the samples are for it."""

    @property
    def global_sizes(self) -> list[int]:
        """How many each step has on all ranks together."""


class Classifier(LightningModule):
    """Classifies images with a network, by default the MLP, trained by Adam on softmax cross-entropy.

    Args:
        network: mlp is the MLP, cnn has two convolutions below it.
        hidden_units: Units of each fully connected hidden layer, such as [256] or [1000, 1000].
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

    Attributes:
        distillation: The teacher to learn from beside the labels, if there shall be one.

    Raises:
        UsageError: If an argument is out of its range.
    """

    def __init__(
        self,
        network: NetworkName = "mlp",
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
        self.distillation: Distillation | None = None
        self._execution: Execution | None = None
        self._total_steps: float | None = None
        self.net = build_network(network, hidden_units, num_classes, dropout)
        self.train_metrics, self.val_metrics, self.test_metrics = (
            StageMetrics(stage, num_classes) for stage in ("train", "val", "test")
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits.

        Args:
            images: ``(B, 28, 28)`` float32, normalized by the data module.

        Returns:
            ``(B, num_classes)`` float32.
        """
        logits: Tensor = self.net(images.to(self.dtype))  # float64 with --trainer.precision 64-true
        return logits

    def loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the loss of a batch, without a teacher.

        Args:
            images: ``(B, 28, 28)`` float32.
            labels: ``(B,)`` int64.

        Returns:
            The sum of the cross-entropies, a scalar, and the logits ``(B, num_classes)``.
        """
        logits = self(images)
        return functional.cross_entropy(logits, labels, reduction="sum"), logits

    def training_loss(self, images: Tensor, labels: Tensor, global_size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Compute this rank's part of the global batch's mean loss.

        Gradients are averaged over ranks, so the part is multiplied by their number: the average is then the
        gradient of the global mean, however unevenly the batch was split.

        Args:
            images: ``(B, 28, 28)`` float32.
            labels: ``(B,)`` int64.
            global_size: The samples of the batch on all ranks.

        Returns:
            What to minimize, a scalar; and what the metrics count: the sum of the cross-entropies with the labels, a
            scalar, and the logits ``(B, num_classes)``.
        """
        label_loss, logits = self.loss(images, labels)
        loss = self.distillation(images, logits, label_loss) if self.distillation else label_loss
        return loss * (self.trainer.world_size / global_size), label_loss, logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Return the loss to minimize, or take all steps of an execution."""
        if not self.automatic_optimization:
            self._execute(batch, batch_idx * self.steps_per_execution)
            return None
        self.seed_dropout(batch_idx)
        loss, label_loss, logits = self.training_loss(batch.images, batch.labels, batch.global_sizes[0])
        self.train_metrics.update(label_loss[None], logits, batch.labels)
        return loss

    def _execute(self, batch: Batch, first_batch: int) -> None:
        """Take the optimizer steps of a batch and count their metrics at once."""
        images, labels, sizes, global_sizes = batch.images, batch.labels, batch.sizes, batch.global_sizes
        if self.trainer.max_steps >= 0:
            left = self.trainer.max_steps - self.trainer.global_step
            if left < len(sizes):
                loader: Any = self.trainer.train_dataloader
                loader.load_state_dict({"batches_done": first_batch + left})  # what a checkpoint shall say
            sizes, global_sizes = sizes[:left], global_sizes[:left]
            images, labels = images[: sum(sizes)], labels[: sum(sizes)]
        assert self._execution is not None
        loss_sums, logits = self._execution(images, labels, sizes, global_sizes, first_batch)
        self.train_metrics.update(loss_sums, logits, labels)

    def seed_dropout(self, batch: int) -> None:
        """Make what is dropped depend on where training is, so that a resumed run drops the same.

        Args:
            batch: The number of the batch in its epoch, counted from 0.
        """
        if self.dropout:
            place = f"{self.seed}/{self.current_epoch}/{batch}/{self.global_rank}"
            torch.manual_seed(int.from_bytes(hashlib.sha256(place.encode()).digest()[:4]))

    def check_finite(self) -> None:
        """Make sure that weights and losses of the epoch so far are numbers on all devices; every rank must call this.

        Raises:
            RunError: On all of them, if one is not, with the first such batch.
        """
        finite = self.train_metrics.finite_batches()
        if finite is not None:
            before = self.trainer.callback_metrics.get("train/loss")
            lr = float(self.trainer.optimizers[0].param_groups[0]["lr"])
            raise RunError(
                f"the loss is no longer finite: epoch {self.current_epoch + 1}, batch {finite + 1}, "
                f"lr {lr:g}"
                + (f", train/loss {float(before):.4g} in the epoch before" if before is not None else "")
                + "; it is not saved. Try a lower --model.lr."
            )
        # of the last step there is no loss yet
        if not torch.stack([parameter.isfinite().all() for parameter in self.net.parameters()]).all():
            raise RunError(
                f"the weights are no longer finite: epoch {self.current_epoch + 1}; "
                "they are not saved. Try a lower --model.lr."
            )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count a validation batch."""
        self._evaluate(batch, self.val_metrics)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Count a test batch."""
        self._evaluate(batch, self.test_metrics)

    def _evaluate(self, batch: Batch, metrics: StageMetrics) -> None:
        loss_sum, logits = self.loss(batch.images, batch.labels)
        metrics.update(loss_sum[None], logits, batch.labels)

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
        if self.distillation:
            self.distillation.network.to(self.device)
        if not self.automatic_optimization:
            self._execution = Execution(self, self.cuda_graph)

    def on_train_epoch_start(self) -> None:
        """Start the epoch's sums."""
        self.train_metrics.reset()

    def on_validation_epoch_start(self) -> None:
        """Start the epoch's sums."""
        self.val_metrics.reset()

    def on_test_epoch_start(self) -> None:
        """Start the epoch's sums."""
        self.test_metrics.reset()

    def on_train_epoch_end(self) -> None:
        """Publish ``train/loss`` and ``train/acc`` to callbacks."""
        self._publish(self.train_metrics)

    def on_validation_epoch_end(self) -> None:
        """Publish ``val/loss`` and ``val/acc`` to callbacks."""
        self._publish(self.val_metrics)

    def on_test_epoch_end(self) -> None:
        """Publish ``test/loss`` and ``test/acc`` to callbacks."""
        self._publish(self.test_metrics)

    def _publish(self, metrics: StageMetrics) -> None:
        # not to the logger: Lightning would write train/* after the checkpoint, with the step count as its x-axis
        # (all ranks have the same means already, so their maximum changes nothing; without sync_dist Lightning warns)
        self.log_dict(metrics.compute(), logger=False, sync_dist=True, reduce_fx="max")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return Adam as Keras has it (eps 1e-7 instead of torch's 1e-8), and what changes its learning rate."""
        kind = torch.optim.AdamW if self.weight_decay else torch.optim.Adam
        optimizer = kind(
            self.parameters(), self.lr, betas=(0.9, 0.999), eps=1e-7, weight_decay=self.weight_decay, fused=True
        )
        if not self.warmup_steps and not self.cosine:
            return optimizer
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: share_of_lr(step, self.warmup_steps, self._total_steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _count_steps(self) -> float:
        """Return the optimizer steps of the whole training, perhaps infinitely many."""
        steps = self.trainer.estimated_stepping_batches
        if not self.automatic_optimization:  # Lightning counts its own batches, which hold several steps
            loader: Any = self.trainer.train_dataloader
            limits = (self.trainer.max_steps, (self.trainer.max_epochs or -1) * loader.batches)
            steps = min((limit for limit in limits if limit >= 0), default=inf)
        return steps

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the epoch's sums so far, of each rank, for a checkpoint in the middle of an epoch."""
        # plain values, so that the file loads with weights_only=True
        checkpoint["hyper_parameters"]["hidden_units"] = list(checkpoint["hyper_parameters"]["hidden_units"])
        for state in checkpoint.get("optimizer_states", []):
            for group in state["param_groups"]:  # a CUDA graph holds lr in a tensor; the file must not need a GPU
                group.update(lr=float(group["lr"]), capturable=False)
        checkpoint["teacher_sha256"] = self.distillation.sha256 if self.distillation else ""
        checkpoint["train_sums"] = self.train_metrics.sums(self.trainer.world_size)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the epoch's sums so far: those of a checkpoint in the middle of an epoch."""
        try:
            precision = self.trainer.precision
        except RuntimeError:  # load_from_checkpoint has none
            precision = checkpoint["config"]["trainer"]["precision"]
        if precision in ("64", "64-true"):
            self.double()  # Lightning does so only after it has loaded the weights
        # load_from_checkpoint has no Trainer to ask
        world_size = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        self.train_metrics.load_sums(checkpoint.get("train_sums", {}), self.global_rank, world_size)
