"""Several optimizer steps in one batch of Lightning's, one by one or as a CUDA graph."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor

from src.common.errors import UsageError
from src.model.graph import CapturedFunction, CaptureError
from src.model.schedule import step_schedules, watches_metric

log = logging.getLogger(__name__)

PRECISIONS_WITHOUT_SCALER = ("32-true", "64-true", "bf16-true", "bf16-mixed")
TrainingLoss = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor, Tensor]]


class Execution:
    """Takes the optimizer steps of a batch one after the other.

    Args:
        module: A module with manual optimization and one optimizer, when training starts.
        training_loss: Takes images, labels and the global batch's size; returns the loss to minimize, the sum of the
            losses and the logits.
        seed_dropout: Takes the number of a batch in its epoch.
        cuda_graph: Capture the steps as a CUDA graph; if that is impossible, a warning says why.
    """

    def __init__(
        self,
        module: LightningModule,
        training_loss: TrainingLoss,
        seed_dropout: Callable[[int], None],
        cuda_graph: bool,
    ) -> None:
        self.module = module
        self.training_loss = training_loss
        self.seed_dropout = seed_dropout
        optimizer, trainer = module.optimizers(), module.trainer
        assert isinstance(optimizer, LightningOptimizer)
        self.optimizer = optimizer
        if any(watches_metric(config.scheduler) for config in trainer.lr_scheduler_configs):
            raise UsageError("a scheduler that monitors a metric needs `steps_per_execution` 1.")
        # Several processes and loss scaling need Lightning's backward and step. Otherwise these only cost time at every
        # step, and a graph cannot hold them.
        self.direct = (
            isinstance(trainer.strategy, SingleDeviceStrategy) and trainer.precision in PRECISIONS_WITHOUT_SCALER
        )
        callbacks = trainer.callbacks  # type: ignore[attr-defined] # Lightning does not declare it
        self.averaging = [callback for callback in callbacks if isinstance(callback, WeightAveraging)]
        self.captured: dict[tuple[int, ...], CapturedFunction] = {}
        self.captures = cuda_graph
        obstacle = self.obstacle() if cuda_graph else None
        if obstacle:
            self._give_up_capture(obstacle)
        elif cuda_graph:
            for group in optimizer.optimizer.param_groups:  # as a number it would be frozen in the graph
                group["lr"] = torch.tensor(float(group["lr"]), device=module.device)

    def obstacle(self) -> str | None:
        """Return why the steps cannot be captured; None if no reason is known."""
        if self.module.device.type != "cuda":
            return f"the network is on the {self.module.device.type}, not on a GPU"
        if not self.direct:
            return "it takes a single device and a precision without loss scaling"
        if not all("capturable" in group for group in self.optimizer.optimizer.param_groups):
            return f"{type(self.optimizer.optimizer).__name__} cannot be captured"
        if any(config.interval == "step" for config in self.module.trainer.lr_scheduler_configs):
            return "the learning rate changes at every step"
        if self.averaging:
            return "the weights are averaged after every step"
        return None

    def __call__(
        self, images: Tensor, labels: Tensor, sizes: list[int], global_sizes: list[int], first_batch: int
    ) -> tuple[Tensor, Tensor]:
        """Take a step on each group of samples.

        Args:
            images: ``(B, C, H, W)`` float32.
            labels: ``(B,)`` int64.
            sizes: Number of samples of each step on this rank; the sum is B.
            global_sizes: Number of samples of each step on all ranks.
            first_batch: The number of the first step's batch in its epoch.

        Returns:
            The sum of the losses of each step ``(steps,)``, and the logits ``(B, num_classes)``.
        """
        take_steps = partial(self._take_steps, sizes=sizes, global_sizes=global_sizes, first_batch=first_batch)
        try:
            self.seed_dropout(first_batch)  # a replay starts from this state
            function = self.captured.setdefault(tuple(sizes), CapturedFunction(take_steps)) if self.captures else None
            results = function(images, labels) if function else take_steps(images, labels)
        except CaptureError as error:
            self._give_up_capture(str(error))
            results = take_steps(images, labels)
        if self.direct and not self.averaging:
            count_steps(self.optimizer, len(sizes))
        return results

    def _take_steps(
        self, images: Tensor, labels: Tensor, sizes: list[int], global_sizes: list[int], first_batch: int
    ) -> tuple[Tensor, Tensor]:
        optimizer: Any = self.optimizer.optimizer if self.direct else self.optimizer
        if self.captures:  # PyTorch warns where it is set without a capture, and refuses a capture without it
            for group in optimizer.param_groups:
                group["capturable"] = torch.cuda.is_current_stream_capturing()
        losses, all_logits = [], []
        steps = zip(torch.split(images, sizes), torch.split(labels, sizes), global_sizes, strict=True)
        for number, (step_images, step_labels, global_size) in enumerate(steps, start=first_batch):
            if not self.captures:
                self.seed_dropout(number)
            objective, loss, logits = self.training_loss(step_images, step_labels, global_size)
            optimizer.zero_grad()
            if self.direct:
                torch.autograd.backward(objective)
            else:
                self.module.manual_backward(objective)
            optimizer.step()
            step_schedules(self.module.trainer, "step", number + 1)
            if self.averaging:
                self._average(number)
            losses.append(loss.detach())
            all_logits.append(logits.detach())
        return torch.stack(losses), torch.cat(all_logits)

    def _average(self, batch: int) -> None:
        """Let callbacks average the weights after a step, as Lightning does after a batch."""
        if self.direct:
            count_steps(self.optimizer, 1)  # the callbacks look at the number of steps
        for callback in self.averaging:
            callback.on_train_batch_end(self.module.trainer, self.module, None, None, batch)

    def _give_up_capture(self, reason: str) -> None:
        self.captures = False
        log.warning("No CUDA graph: %s. Training continues without it, more slowly.", reason)


def count_steps(optimizer: LightningOptimizer, steps: int) -> None:
    """Advance ``trainer.global_step`` by steps that did not go through Lightning's optimizer.

    There is no public way; ``LightningOptimizer.step`` makes these two calls around each step.
    """
    for _ in range(steps):
        optimizer._on_before_step()
        optimizer._on_after_step()
