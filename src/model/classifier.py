"""The LightningModule, where to start reading: network, loss, metrics and optimizer."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import inf
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from src.common.errors import UsageError, in_range
from src.model.distillation import Distillation
from src.model.exact import Exact
from src.model.hints import KERAS, refuse_no_modules
from src.model.metrics import by_name
from src.model.networks import NetworkName, build_network
from src.model.schedule import share_of_lr, total_steps


class Classifier(Exact):
    """Classifies images with a network, by default the MLP, trained by Adam on softmax cross-entropy.

    Args:
        network: mlp is the MLP, cnn has two convolutions before it. Any other class is named by its import path, with
            its arguments below it, and maps images (B, C, H, W) float32 to logits (B, num_classes).
        hidden_units: Units of each fully connected hidden layer, such as [256] or [1000, 1000].
        dropout: Probability with which a hidden unit is dropped in training, at least 0 and below 1.
        lr: Learning rate of Adam, above 0; its maximum with a warm-up or a cosine.
        weight_decay: Weight decay of AdamW: each step multiplies weights and biases by 1 - lr * weight_decay.
        warmup_steps: Optimizer steps over which the learning rate rises linearly to ``lr``.
        cosine: Let the learning rate fall to 0 along half a cosine until the end of training.
        loss: A class of torch.nn instead of the cross-entropy, with its arguments below it: CrossEntropyLoss and
            label_smoothing 0.1, or weight, a number for each class. A class of your own takes logits and labels, and
            its argument reduction is set to sum.
        metrics: Classes of torchmetrics besides the accuracy, whose first argument is the number of classes:
            MulticlassF1Score adds val/f1 and train/f1.
        num_classes: Number of classes.
        image_shape: Shape of the images, (H, W) or (H, W, C).
        steps_per_execution: Optimizer steps that run in one batch of Lightning's, as in Keras. The weights are the
            same to the last bit; with several steps, Lightning's cost per batch is paid less often, and callbacks,
            checkpoints and the progress bar run only between executions.
        cuda_graph: Run the steps of an execution as one CUDA graph, for networks whose kernels take less time than
            their launches. Needs one GPU and several steps_per_execution.
        seed: Seed of dropout, together with the batch's epoch, number and rank.
        compile: Train with torch.compile, which needs a C++ compiler and time at the start, and may change last bits.

    Attributes:
        distillation: The teacher to learn from besides the labels, or None.
        make_optimizer: Takes the parameters and returns the optimizer; None stands for Adam.
        make_schedule: Takes the optimizer and returns the scheduler; None stands for warm-up and cosine.
        schedule_interval: Whether the scheduler is stepped after every ``epoch`` or every ``step``.
    """

    def __init__(
        self,
        network: NetworkName | nn.Module = "mlp",
        hidden_units: Sequence[int] = (256,),
        dropout: float = 0.0,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        cosine: bool = False,
        loss: nn.Module | None = None,
        metrics: Sequence[Callable[[int], Metric]] = (),
        num_classes: int = 10,
        image_shape: Sequence[int] = (28, 28),
        steps_per_execution: int = 1,
        cuda_graph: bool = False,
        seed: int = 42,
        compile: bool = False,
    ) -> None:
        refuse_no_modules(network, loss)
        if getattr(loss, "reduction", "sum") != "sum":
            raise UsageError("`loss` must have reduction='sum': it is divided by the size of the batch on all devices.")
        # validate_args would read every batch back from the device
        accuracy = MulticlassAccuracy(num_classes, average="micro", validate_args=False)
        super().__init__({"acc": accuracy, **by_name(metrics, num_classes)}, steps_per_execution, cuda_graph, seed)
        if not (in_range(lr, 0) and lr > 0):
            raise UsageError(f"`lr` must be a positive number, got {lr!r}.")
        for name, value in (("weight_decay", weight_decay), ("warmup_steps", warmup_steps)):
            if not in_range(value, 0):
                raise UsageError(f"`{name}` must be at least 0, got {value!r}.")
        self.save_hyperparameters(logger=False, ignore=["network", "loss", "metrics"])
        self.lr = lr
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps
        self.cosine = cosine
        self.dropout = dropout
        self.is_compiled = compile  # ``compile`` is a method of every module
        self.criterion = loss or nn.CrossEntropyLoss(reduction="sum")
        self.distillation: Distillation | None = None
        self.make_optimizer: Callable[[Iterator[nn.Parameter]], Optimizer] | None = None
        self.make_schedule: Callable[[Optimizer], LRScheduler] | None = None
        self.schedule_interval = "epoch"
        if isinstance(network, str):
            self.hparams["network"] = network
            network = build_network(network, hidden_units, num_classes, dropout, image_shape)
        self.net: nn.Module = network
        # plain, so that a checkpoint loads with weights_only=True
        self.hparams.update(hidden_units=list(hidden_units), image_shape=list(image_shape))

    def setup(self, stage: str) -> None:
        """Compile the network if ``compile`` was given."""
        super().setup(stage)
        if self.is_compiled and stage == "fit":
            self.net.compile()  # in place, so that checkpoints keep their keys

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the module; for a method of Keras' models, name the replacement in the error."""
        if name in KERAS:
            raise AttributeError(f"a Classifier has no `{name}`: use {KERAS[name]}")
        return super().__getattr__(name)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Refuse Keras' method, whose arguments torch's method of the same name would accept."""
        raise UsageError(
            "a Classifier has no `compile` as in Keras: use Classifier(lr=0.001). For torch.compile add compile=True."
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits.

        Args:
            images: ``(B, C, H, W)`` float32, normalized by the data module.

        Returns:
            ``(B, num_classes)`` float32.
        """
        if not (isinstance(images, Tensor) and images.is_floating_point()):
            raise UsageError("a Classifier takes a tensor of floats: model(data.normalize(images)) of uint8 images.")
        logits: Tensor = self.net(images.to(self.dtype))  # float64 with --trainer.precision 64-true
        return logits

    def loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the reported loss of a batch.

        Args:
            images: ``(B, C, H, W)`` float32.
            labels: ``(B,)`` int64.

        Returns:
            The sum of the images' losses, a scalar (of cross-entropies in nats), and the logits ``(B, num_classes)``.
        """
        logits = self(images)
        return self.criterion(logits, labels), logits

    def objective(self, images: Tensor, labels: Tensor, logits: Tensor, loss: Tensor) -> Tensor:
        """Return the sum over the batch that training minimizes: the loss, or its mixture with the teacher's loss."""
        return self.distillation(images, logits, loss) if self.distillation else loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer, by default Adam with Keras' eps (1e-7 instead of torch's 1e-8), and the scheduler."""
        kind = torch.optim.AdamW if self.weight_decay else torch.optim.Adam
        keras = partial(kind, lr=self.lr, betas=(0.9, 0.999), eps=1e-7, weight_decay=self.weight_decay, fused=True)
        if not callable(make := self.make_optimizer or keras):
            raise UsageError("`make_optimizer` must be a function: lambda params: torch.optim.SGD(params, lr=0.1).")
        optimizer = make(self.parameters())
        if self.make_schedule:
            scheduler = self.make_schedule(optimizer)
            monitor = getattr(scheduler, "monitor", None)  # of LightningCLI's ReduceLROnPlateau
            config: Any = {"scheduler": scheduler, "interval": self.schedule_interval}
            monitored = {"monitor": monitor} if monitor and self.automatic_optimization else {}
            return {"optimizer": optimizer, "lr_scheduler": config | monitored}
        if not self.warmup_steps and not self.cosine:
            return optimizer
        steps = total_steps(self.trainer) if self.cosine else None
        if steps == inf:
            raise UsageError("`cosine` needs to know the end of training: give `trainer.max_epochs`.")
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: share_of_lr(step, self.warmup_steps, steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Load the loss's parameters; its other tensors, such as class weights, are arguments and stay as given."""
        super().on_load_checkpoint(checkpoint)
        state, parameters = checkpoint["state_dict"], dict(self.criterion.named_parameters(prefix="criterion"))
        saved = {name: state.pop(name) for name in list(state) if name.startswith("criterion.")}
        for name, value in self.criterion.state_dict(prefix="criterion.").items():
            state[name] = saved.get(name, value) if name in parameters else value

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the teacher's SHA-256 and, in a notebook, which has no run, the recipe."""
        super().on_save_checkpoint(checkpoint)
        if "config" not in checkpoint:
            network = {"class_path": f"{type(self.net).__module__}.{type(self.net).__qualname__}"}
            derived = ("num_classes", "image_shape", "seed")  # from other settings
            model = {"network": network} | {name: value for name, value in self.hparams.items() if name not in derived}
            data: Any = self.trainer.datamodule  # type: ignore[attr-defined] # Lightning does not declare it
            if data is None:
                raise UsageError("the file needs the normalization: fit or test with datamodule=data before saving it.")
            names = "dataset data_dir image_size test_size val_size split fold folds normalization deskew"
            checkpoint["config"] = {"model": model, "data": {name: getattr(data, name) for name in names.split()}}
        checkpoint["teacher_sha256"] = self.distillation.sha256 if self.distillation else ""
