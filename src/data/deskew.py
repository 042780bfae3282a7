"""Digits set upright: sheared by the moments of their ink, as LeCun et al. (1998) deslanted theirs."""

import torch
from torch import Tensor

from src.data.batches import Split

AT_ONCE = 2_000  # images
STEEPEST = 1.0  # pixels to the side for each row; further no digit leans


def deskew(images: Tensor) -> Tensor:
    """Shear each image along its rows until its ink leans to neither side.

    Every row moves by its distance from the centre of mass times mu11 / mu02, the slope of the ink, clamped to one
    pixel a row; pixels between pixels are interpolated linearly, those from outside are background.

    Args:
        images: ``(B, H, W)`` uint8, white ink on black.

    Returns:
        The same, ``(B, H, W)`` uint8; an image without ink as it is.
    """
    pixels = images.float()
    y, x = (torch.arange(size, dtype=torch.float32, device=images.device) for size in images.shape[1:])
    rows, columns = pixels.sum(dim=2), pixels.sum(dim=1)
    mass = rows.sum(dim=1, keepdim=True).clamp(min=1)
    down = y - (rows * y).sum(dim=1, keepdim=True) / mass  # (B, H)
    across = x - (columns * x).sum(dim=1, keepdim=True) / mass  # (B, W)
    leaning = ((pixels * across[:, None]).sum(dim=2) * down).sum(dim=1)
    slope = (leaning / (rows * down**2).sum(dim=1).clamp(min=1)).clamp(-STEEPEST, STEEPEST)
    source = x + (slope[:, None] * down)[:, :, None]  # (B, H, W), where each pixel comes from
    left = source.floor()
    near, far = (taken(pixels, column) for column in (left, left + 1))
    return (near + (far - near) * (source - left)).round().to(torch.uint8)


def taken(pixels: Tensor, columns: Tensor) -> Tensor:
    """Return the pixels of other columns, ``(B, H, W)``, 0 outside."""
    last = pixels.shape[2] - 1
    return pixels.gather(2, columns.clamp(0, last).long()) * ((columns >= 0) & (columns <= last))


def upright(split: Split) -> Split:
    """Return a split with all images of its file set upright, in memory."""
    count = len(split.file_images)
    parts = [deskew(split.upright(slice(start, start + AT_ONCE))) for start in range(0, count, AT_ONCE)]
    return split._replace(file_images=torch.cat(parts), transposed=False)
