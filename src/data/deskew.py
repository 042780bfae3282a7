"""Slanted digits set upright: sheared by the moments of their ink, as in LeCun et al. (1998)."""

import torch
from torch import Tensor

from src.data.batches import Split

AT_ONCE = 500  # images; more would not fit into the processor's cache
STEEPEST = 1.0  # pixels sideways per row; no digit leans further


def deskew(images: Tensor) -> Tensor:
    """Shear each image, ``(B, H, W)`` uint8, along its rows until its ink is upright, on black.

    The background, the median of the pixels, is subtracted first, and lighter pixels are stretched to white. Every row
    moves by its distance from the centre of mass times mu11 / mu02, the slope of the ink, clamped to one pixel per row.
    Values between pixels are interpolated linearly, pixels from outside are black. A uniform image becomes black.
    """
    return sheared(on_black(images))


def sheared(pixels: Tensor) -> Tensor:
    """Shear images on black, ``(B, H, W)`` float64 of whole numbers, and return them as uint8."""
    y, x = (torch.arange(size, dtype=torch.float64, device=pixels.device) for size in pixels.shape[1:])
    rows = pixels.sum(dim=2)  # (B, H)
    mass, by_y, by_x = rows.sum(dim=1).clamp(min=1), rows @ y, pixels.sum(dim=1) @ x
    leaning = ((pixels @ x) * y).sum(dim=1) - by_x * by_y / mass
    height = rows @ y**2 - by_y**2 / mass
    slope = (leaning / height.clamp(min=1)).clamp(-STEEPEST, STEEPEST)
    down = y - (by_y / mass)[:, None]
    source = x + (slope[:, None] * down)[:, :, None]  # (B, H, W), where each pixel comes from
    left = source.floor()
    near, far = (taken(pixels, column) for column in (left, left + 1))
    return (near + (far - near) * (source - left)).round().to(torch.uint8)  # half to even


def on_black(images: Tensor) -> Tensor:
    """Subtract the background: ``(B, H, W)`` float64 of whole numbers, whose sums are the same in other programs."""
    pixels = images.flatten(1).double()
    ground = pixels.sort(dim=1).values[:, (pixels.shape[1] - 1) // 2, None]  # as ONNX has no median
    stretched = (pixels - ground).clamp(min=0) * 255 / (255 - ground).clamp(min=1)
    return stretched.round().reshape(images.shape)  # half to even


def taken(pixels: Tensor, columns: Tensor) -> Tensor:
    """Return the pixels at the given columns, ``(B, H, W)``, 0 outside the image."""
    last = pixels.shape[2] - 1
    return pixels.gather(2, columns.clamp(0, last).long()) * ((columns >= 0) & (columns <= last))


def upright(split: Split) -> Split:
    """Return a split with all images of its file set upright, in memory."""
    parts = []
    for positions in torch.split(torch.arange(len(split.file_images)), AT_ONCE):
        images = split.upright(positions)
        mostly_black = (images == 0).flatten(1).double().mean(dim=1) > 0.5  # then the median, which costs most, is 0
        parts.append(sheared(images.double()) if mostly_black.all() else deskew(images))
    return split._replace(file_images=torch.cat(parts), transposed=False)
