"""Random distortions of training images, computed for a whole batch on the batch's device."""

import hashlib
from dataclasses import dataclass, fields
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from src.common.errors import UsageError

GRID = 7  # points on each side of the grid that elastic distortion moves
COEFFICIENTS = 3 + GRID * GRID  # per coordinate: x, y, 1 and one for each grid point
WORDS = 4  # 16-bit random numbers in a 64-bit number
UPSTROKE, PEN = 5.0, 1.2  # pixels: the upstroke's length, which varies by 40 %, and half its width


@dataclass(frozen=True)
class Distortion:
    """Random affine and elastic distortion, as Simard, Steinkraus and Platt (2003) introduced it for MNIST.

    Each strength is the largest change; the change of an image is uniform between minus and plus the strength. Elastic
    distortion moves the points of a 7 x 7 grid and interpolates between them (bicubic), instead of smoothing a field
    with a point for every pixel: the same kind of field at a small part of the cost. Values between pixels are
    interpolated linearly; pixels from outside the image are background.

    Args:
        rotation: In degrees, at most 180.
        scale: Of width and height, drawn separately, as a fraction below 1.
        shear: Sideways slant, as a fraction of the height.
        shift: In pixels, horizontally and vertically.
        elastic: How far a grid point moves horizontally and vertically, in pixels.
        upstroke: The share of the images with label 1 that get an upstroke, as many people write a 1.
        flip: The share of the images that are mirrored, left to right.
    """

    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    elastic: float = 0.0
    upstroke: float = 0.0
    flip: float = 0.0

    def __post_init__(self) -> None:
        below = {"rotation": 180.0, "scale": 0.99, "shear": 10.0, "shift": 28.0, "elastic": 28.0}
        below["upstroke"] = below["flip"] = 1.0
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= below[field.name]:
                raise UsageError(f"`{field.name}` must be between 0 and {below[field.name]:g}, got {value}.")

    def __call__(self, images: Tensor, seed: int, epoch: int, positions: Tensor, labels: Tensor) -> Tensor:
        """Distort images; up to rounding, an image's result does not depend on the other images in the batch.

        Args:
            images: ``(B, H, W)`` or ``(B, H, W, C)`` float32, background 0.
            seed: Any integer.
            epoch: The epoch's number.
            positions: ``(B,)`` int64, the images' positions in the data set.
            labels: ``(B,)``, any integer dtype.

        Returns:
            The distorted images, in the same shape.
        """
        if self.upstroke:
            random = uniform(seed, epoch, positions, 3, "upstroke")
            chosen = ((labels == 1) & (random[:, 0] < 2 * self.upstroke - 1)).nonzero()[:, 0]
            images = images.index_copy(0, chosen, with_upstroke(images[chosen], random[chosen, 1:]))
        rows, columns = images.shape[1:3]
        channels = images.unsqueeze(1) if images.dim() == 3 else images.permute(0, 3, 1, 2)
        coefficients = self._coefficients(seed, epoch, positions, pixel=2 / columns)
        if self.flip:
            mirrored = uniform(seed, epoch, positions, 1, "flip") < 2 * self.flip - 1
            coefficients[:, 0] *= 1 - 2 * mirrored.float()  # mirrors the x that a pixel's value comes from
        grid = coefficients.flatten(0, 1) @ basis(rows, columns, images.device)
        where = grid.view(-1, 2, rows, columns).permute(0, 2, 3, 1)
        return functional.grid_sample(channels, where, align_corners=False).permute(0, 2, 3, 1).reshape(images.shape)

    def _coefficients(self, seed: int, epoch: int, positions: Tensor, pixel: float) -> Tensor:
        """Return where each pixel's value comes from, as coefficients of ``basis``: ``(B, 2, COEFFICIENTS)``."""
        random = uniform(seed, epoch, positions, 4 + 2 * (1 + GRID * GRID))
        angle, wide, high, shear = (
            random[:, :4] * random.new_tensor([self.rotation * torch.pi / 180, self.scale, self.scale, self.shear])
        ).unbind(1)
        strengths = random.new_full((1 + GRID * GRID,), self.elastic * pixel)
        strengths[0] = self.shift * pixel
        moves = random[:, 4:].view(-1, 2, 1 + GRID * GRID) * strengths
        cos, sin, wide, high = angle.cos(), angle.sin(), 1 + wide, 1 + high
        turn = torch.stack([wide * cos, wide * (cos * shear - sin), high * sin, high * (sin * shear + cos)], dim=1)
        return torch.cat([turn.view(-1, 2, 2), moves], dim=2)


def with_upstroke(images: Tensor, random: Tensor) -> Tensor:
    """Draw a stroke on images, ``(B, H, W)`` float32, from the highest ink down to the left.

    ``random``, ``(B, 2)`` in [-1, 1), sets the stroke's length and slope.
    """
    rows, columns = (torch.arange(size, device=images.device) for size in images.shape[1:])
    peak = images.amax(dim=(1, 2), keepdim=True)
    ink = images > peak / 2
    top = ink.any(dim=2).int().argmax(dim=1)
    left = ink[torch.arange(len(images), device=images.device), top].int().argmax(dim=1)
    length, angle = UPSTROKE * (1 + 0.4 * random[:, 0]), (0.21 + 0.06 * random[:, 1]) * torch.pi
    down, across = rows[:, None] - top[:, None, None], left[:, None, None] - columns
    sin, cos = angle.sin()[:, None, None], angle.cos()[:, None, None]
    along = (down * sin + across * cos).clamp(min=0).minimum(length[:, None, None])
    distance = torch.hypot(down - along * sin, across - along * cos)
    return images.maximum(peak * (PEN + 0.5 - distance).clamp(0, 1))


@cache
def basis(rows: int, columns: int, device: torch.device) -> Tensor:
    """Return the fields that a distortion combines, at every pixel: ``(COEFFICIENTS, rows * columns)`` float32.

    Coordinates run from -1 to 1 between the outer edges of the image, as in ``grid_sample``.
    """
    y, x = torch.meshgrid(*((2 * torch.arange(size) + 1) / size - 1 for size in (rows, columns)), indexing="ij")
    points = torch.eye(GRID * GRID).view(-1, 1, GRID, GRID)
    smooth = functional.interpolate(points, (rows, columns), mode="bicubic", align_corners=True)
    return torch.cat([x.reshape(1, -1), y.reshape(1, -1), torch.ones(1, x.numel()), smooth.flatten(1)]).to(device)


def uniform(seed: int, epoch: int, positions: Tensor, count: int, purpose: str = "distortion") -> Tensor:
    """Return random numbers that depend on purpose, seed, epoch and position alone: ``(B, count)`` float32 in [-1, 1).

    A counter goes through the mixing function of SplitMix64 (Steele, Lea and Flood 2014); a result gives four numbers.
    """
    if positions.device.type == "mps":  # it lacks some operations on int64
        return uniform(seed, epoch, positions.cpu(), count, purpose).to(positions.device)
    digest = hashlib.sha256(f"{purpose}/{seed}/{epoch}".encode()).digest()
    words = -(-count // WORDS)
    counter = positions[:, None] * words + torch.arange(words, device=positions.device)
    mixed = (counter + int.from_bytes(digest[:7])) * -7046029254386353131
    mixed = (mixed ^ ((mixed >> 30) & (1 << 34) - 1)) * -4658895280553007687
    mixed = (mixed ^ ((mixed >> 27) & (1 << 37) - 1)) * -7723592293110705685
    mixed = mixed ^ ((mixed >> 31) & (1 << 33) - 1)
    return mixed.view(torch.int16)[:, :count].float() / 2**15
