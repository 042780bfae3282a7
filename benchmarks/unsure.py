"""When is an answer unsure, and what becomes of digits that touch each other? A part of ``benchmarks/digits.py``."""

import io
from operator import eq
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from benchmarks.variants import pair_that_touches
from src.common.pictures import PictureError
from src.digits.frame import frame
from src.digits.ink import EDGE, bounds, find_ink
from src.digits.number import read_number
from src.digits.reading import Reading
from src.runs.trained import Trained

PAIRS = 1_000
STEPS = [round(0.5 + 0.05 * step, 2) for step in range(10)]
MOST_RIGHT = 0.7  # of the answers that are marked


def confidences(networks: dict[str, Trained], images: Tensor, labels: Tensor) -> dict[str, Any]:
    """Choose the confidence below which an answer is unsure, on images of the validation split.

    It is the highest one, in steps of 0.05, below which each network is wrong at least three times in ten.
    """
    results: dict[str, Any] = {}
    for name, network in networks.items():
        confidence, answers = network.network(images)[1].max(dim=1)
        right = answers == labels
        shares = {str(step): float(right[confidence < step].float().mean()) for step in STEPS}
        results[name] = {"accuracy": float(right.float().mean()), "mean_confidence": float(confidence.mean())}
        results[name]["right_below"] = shares
    fitting = [step for step in STEPS if all(row["right_below"][str(step)] <= MOST_RIGHT for row in results.values())]
    return {"threshold": max(fitting), **results}


def pairs(networks: dict[str, Trained], images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Count the pairs of touching digits that are marked unsure, and that a cut in two would read."""
    results: dict[str, Any] = {"pairs": PAIRS} | {name: {"unsure": 0, "cut": 0} for name in networks}
    for seed in range(PAIRS):
        picture, number = pair_that_touches(images, labels, np.random.default_rng(seed))
        file = io.BytesIO()
        picture.save(file, "PNG")
        halves = cut(picture)
        for name, network in networks.items():
            results[name]["unsure"] += is_unsure(file, network)
            results[name]["cut"] += all(map(eq, map(str, network.network(halves)[0].argmax(dim=1).tolist()), number))
    return results


def is_unsure(file: io.BytesIO, network: Trained) -> bool:
    """Say whether a picture is marked unsure, or refused."""
    file.seek(0)
    try:
        lines = read_number(file)
    except PictureError:
        return True
    probabilities = network.answer(torch.stack([digit.pixels for line in lines for digit in line]))[1]
    return Reading.of(lines, iter(probabilities), network.classes).unsure


def cut(picture: Image.Image) -> Tensor:
    """Cut the ink where its columns have the least, not far from the middle; return both halves, framed."""
    ink, _ = find_ink(picture)
    width = ink.shape[1]
    begin = round(0.3 * width)
    place = begin + int(ink.sum(axis=0)[begin : round(0.7 * width)].argmin())
    halves = []
    for half in (ink[:, :place], ink[:, place:]):
        top, bottom, left, right = bounds(half > EDGE)
        halves.append(torch.from_numpy(frame(half[top:bottom, left:right])))
    return torch.stack(halves)
