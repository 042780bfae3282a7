"""A teacher's share in the loss, from another network's logits for the same images."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from src.common.errors import UsageError


class Distillation:
    """Mixes the loss on the labels with a loss on a teacher's logits (Hinton, Vinyals and Dean 2015).

    ``(1 - weight) * cross-entropy + weight * temperature ** 2 * KL(teacher || student)``, both distributions softened
    by the temperature. Teacher and student see the same images, distortion included, as Beyer et al. (2022) found
    necessary. The teacher is not trained, saved or counted as a part of the student.

    Args:
        network: The teacher.
        sha256: SHA-256 of the teacher's file, for the student's checkpoints.
        bf16: Run the teacher with bfloat16 autocast, as in its own training.
        teacher: The teacher's checkpoint file or run folder (its best checkpoint). The teacher must have the same
            classes and the same normalization.
        temperature: Divisor of the teacher's and the student's logits, above 0.
        weight: The teacher's share in the loss, above 0 and at most 1.
    """

    def __init__(
        self,
        network: nn.Module,
        sha256: str,
        bf16: bool = False,
        teacher: str | None = None,
        temperature: float = 2.0,
        weight: float = 0.9,
    ) -> None:
        if not 0 < temperature < float("inf"):
            raise UsageError(f"`temperature` must be a positive number, got {temperature}.")
        if not 0 < weight <= 1:
            raise UsageError(f"`weight` must be above 0 and at most 1, got {weight}.")
        self.network = network.eval().requires_grad_(False)
        self.sha256 = sha256
        self.bf16 = bf16
        self.teacher = teacher
        self.temperature = temperature
        self.weight = weight

    def __call__(self, images: Tensor, logits: Tensor, label_loss: Tensor) -> Tensor:
        """Return the loss to minimize.

        Args:
            images: ``(B, C, H, W)`` float32, as the student sees them.
            logits: The student's logits, ``(B, num_classes)``.
            label_loss: The sum of the student's losses on the labels, a scalar.

        Returns:
            The sum over the batch, a scalar.
        """
        with torch.no_grad(), torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            answers = self.network(images)
        dtype = torch.promote_types(logits.dtype, torch.float32)  # bfloat16 is too coarse here, float64 stays
        soft, softened = ((values.to(dtype) / self.temperature).log_softmax(dim=1) for values in (answers, logits))
        teacher_loss = functional.kl_div(softened, soft, reduction="sum", log_target=True)
        return (1 - self.weight) * label_loss + self.weight * self.temperature**2 * teacher_loss
