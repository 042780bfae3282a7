"""A teacher's share in the loss: what another network makes of the same images."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from src.common.errors import UsageError


class Distillation:
    """Mixes the loss of the labels with that of a teacher's answers (Hinton, Vinyals and Dean 2015).

    ``(1 - weight) * cross-entropy + weight * temperature ** 2 * KL(teacher || student)``, both distributions softened
    by the temperature. The teacher sees what the student sees, distorted images too, as Beyer et al. (2022) found to
    be needed. Nothing of it is trained, saved or counted as a part of the student.

    Args:
        network: The teacher.
        sha256: What tells it from others, for checkpoints of the student.
        bf16: Let it compute in bfloat16 where that serves, as it did in its own training.
        teacher: Its checkpoint file, or the folder of its run (the best checkpoint). It must have the same classes and
            the same normalization.
        temperature: By how much its logits and the student's are divided, above 0.
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
        """Return what to minimize.

        Args:
            images: ``(B, C, H, W)`` float32, as the student sees them.
            logits: The student's, ``(B, num_classes)``.
            label_loss: The sum of its cross-entropies with the labels, a scalar.

        Returns:
            The sum over the batch, a scalar.
        """
        with torch.no_grad(), torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            answers = self.network(images)
        dtype = torch.promote_types(logits.dtype, torch.float32)  # bfloat16 is too coarse here, float64 stays
        soft, softened = ((values.to(dtype) / self.temperature).log_softmax(dim=1) for values in (answers, logits))
        teacher_loss = functional.kl_div(softened, soft, reduction="sum", log_target=True)
        return (1 - self.weight) * label_loss + self.weight * self.temperature**2 * teacher_loss
