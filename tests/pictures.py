"""Coloured pictures of shapes in folders, and a network of one's own to read them."""

import random
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image, ImageDraw
from torch import Tensor, nn

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 70, 230)}
CLASSES = tuple(sorted(f"{colour} {shape}" for colour in COLOURS for shape in ("disc", "square")))


def draw_picture(name: str, side: int, seed: int) -> Image.Image:
    """Return a picture of a class: a shape in its colour, anywhere, on a ground of another colour."""
    numbers = random.Random(f"{name}/{seed}")
    picture = Image.new("RGB", (side, side), tuple(numbers.randint(90, 160) for _ in range(3)))
    radius = numbers.randint(side // 4, side // 3)
    x, y = (numbers.randint(radius, side - radius) for _ in range(2))
    colour, shape = name.split()
    pen = ImageDraw.Draw(picture)
    draw = pen.ellipse if shape == "disc" else pen.rectangle
    draw((x - radius, y - radius, x + radius, y + radius), COLOURS[colour])
    return picture


def draw_folder(folder: Path, train: int = 40, test: int = 10, side: int = 16) -> Path:
    """Draw so many pictures of each class for training and test."""
    for part, count in (("train", train), ("test", test)):
        for name in CLASSES if count else ():
            place = folder / part / name
            place.mkdir(parents=True)
            for number in range(count):
                draw_picture(name, side, number + (part == "test") * 1_000).save(place / f"{number:03}.png")
    return folder


class OwnNetwork(nn.Module):
    """Convolutions with normalization over the batch, which keeps running means.

    Args:
        width: Channels.
        num_classes: Logits.
    """

    def __init__(self, width: int = 8, num_classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 5, padding=2), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(), nn.AdaptiveMaxPool2d(1),
        )  # fmt: skip
        self.head = nn.Linear(2 * width, num_classes)

    def hidden(self, images: Tensor) -> Tensor:
        """Return what the last layer sees."""
        features: Tensor = self.body(images).flatten(1)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(self.hidden(images))
        return logits


class CompareBuffers(Callback):
    """Ends a training whose ranks have other running means when an epoch is saved."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        means = torch.cat([buffer.float().flatten() for buffer in pl_module.net.buffers()])
        everyone = [torch.empty_like(means) for _ in range(trainer.world_size)]
        torch.distributed.all_gather(everyone, means)
        assert all(torch.equal(means, other) for other in everyone)


class SpoilBuffers(Callback):
    """Makes a running mean infinite in the second epoch, which nothing but the evaluation notices."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: object) -> None:
        if trainer.current_epoch:
            pl_module.net.body[1].running_mean[0] = torch.inf
