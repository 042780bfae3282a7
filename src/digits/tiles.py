"""A picture with the digits that were found in it, as small tiles for a sheet."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from src.common.drawing import ORANGE, WHITE
from src.common.pictures import decode, opened
from src.digits.grey import shrink, to_grey
from src.digits.reading import Reading

TILE = 84  # pixels of its side
LONGEST_NAME = 16
SHOWN = ("1", "L", "LA", "P", "RGB", "RGBA")  # modes of pictures that are shown as they are
Tile = tuple[Tensor, tuple[str, str]]  # (TILE, TILE, 3) uint8, and two lines of text


def tiles_of(path: Path, reading: Reading, number: int) -> list[Tile]:
    """Return a tile of the picture with the boxes of its digits, and a tile of each digit as the network saw it."""
    name = path.name.encode("ascii", "replace").decode()
    name = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME // 2]}..{name[-LONGEST_NAME // 2 :]}"
    name = f"{number}: {name}"  # two pictures may have the same name
    if reading.error:
        return [(torch.zeros(TILE, TILE, 3, dtype=torch.uint8), (name, reading.error[:LONGEST_NAME]))]
    with opened(path) as file:
        image, factor = decode(file)
    small = shrink((image if image.mode in SHOWN else to_grey(image)).convert("RGBA"), TILE)
    left, top = (TILE - small.width) // 2, (TILE - small.height) // 2
    page = Image.new("RGB", (TILE, TILE), WHITE)
    page.paste(small, (left, top), small)
    scale = small.width / (image.width * factor)
    for box in filter(None, [answer.digit.box for answer in reading.answers]):
        corners = [corner * scale + place for corner, place in zip(box, (left, top) * 2, strict=True)]
        ImageDraw.Draw(page).rectangle(corners, outline=ORANGE)
    tiles = [(torch.from_numpy(np.array(page)), (name, reading.text))]
    for answer in reading.answers:
        pixels = Image.fromarray(answer.digit.pixels.numpy()).convert("RGB")
        tile = torch.from_numpy(np.array(pixels.resize((TILE, TILE), Image.Resampling.NEAREST)))
        tiles.append((tile, (name, f"{answer.name} ({answer.confidence:.0%}){'?' * answer.unsure}")))
    return tiles
