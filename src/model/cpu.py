"""What makes training on the CPU faster without changing it."""

import os

import torch

BATCH, PIXELS, UNITS = 200, 784, 256
FINER = 1 + 2**-12  # bfloat16, with 8 bits, would round it to 1


def speed_up_cpu() -> None:
    """Remove two costs from every training step on the CPU; safe to call more than once."""
    use_onednn()
    # Lightning sets this, and then every step of Adam, which asks whether it is being captured by a GPU, opens the
    # driver's library anew: 0.1 ms where there is no GPU.
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)


def use_onednn() -> None:
    """Let oneDNN multiply float32 matrices on the CPU, provided that it does not round them.

    PyTorch multiplies float32 with MKL, which on processors that are not Intel's takes about twice oneDNN's time. The
    only public switch between them also allows oneDNN to round to bfloat16, which it does where the processor
    has matrix instructions for that; there, and where somebody has set the switch already, nothing changes.
    """
    if torch.get_float32_matmul_precision() != "highest":
        return
    torch.set_float32_matmul_precision("medium")
    product = torch.full((BATCH, PIXELS), FINER) @ torch.ones(PIXELS, UNITS)
    if not (product == PIXELS * FINER).all():
        torch.set_float32_matmul_precision("highest")
