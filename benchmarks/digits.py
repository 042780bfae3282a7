"""How well are pictures read that are harder than MNIST's own files, and how fast?

``python -m benchmarks.digits`` takes the newest run's best checkpoint (``--ckpt_path`` names others, to be put side by
side), reads the 10,000 test images as PNG files through ``src.cli predict`` and in each of the variants of
``benchmarks/variants.py``, times the command on up to 50,000 files, and writes ``benchmarks/results/digits.json`` and
the documents' table (about three minutes on two cores). ``--table`` writes the table alone; ``--pictures FOLDER``
scores people's own pictures, labelled by a ``manifest.csv`` (file, label, kind) or by names such as ``x_7.png``, with
``--peers`` by Tesseract and RapidOCR too.
"""

import argparse
import csv
import json
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import repeat
from operator import eq
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from benchmarks.documents import write_tables
from benchmarks.pictures import peers_table, score, score_peers, table
from benchmarks.processes import HERE, machine, run
from benchmarks.unsure import confidences, pairs
from benchmarks.variants import VARIANTS, string_of_digits
from src.common.pictures import PictureError
from src.data.datamodule import MNISTDataModule
from src.digits.frame import to_digit
from src.predict import read
from src.runs.trained import Trained

RESULTS = Path(__file__).parent / "results" / "digits.json"
RAW, FILES = "MNIST's own pixels", "PNG files"
SPEED = (1_000, 10_000, 50_000)
STRINGS = 1_000
MOST_LOST = {FILES: 0.1}  # points
MOST_LOST_OF_VARIANTS = 0.6


def change(number: int, name: str, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a test image in a variant as the network gets it; black if nothing was found in it."""
    try:
        return to_digit(VARIANTS[name](Image.fromarray(image), np.random.default_rng(number))).numpy()
    except PictureError:
        return np.zeros_like(image)


def changed(name: str, images: Tensor) -> Tensor:
    """Return all test images in a variant as the network gets them, ``(N, 28, 28)`` uint8."""
    with ProcessPoolExecutor(os.cpu_count(), initializer=partial(torch.set_num_threads, 1)) as processes:
        seen = processes.map(change, range(len(images)), repeat(name), images.numpy(), chunksize=100)
        return torch.from_numpy(np.stack(list(seen)))


def write_files(images: Tensor, folder: Path, count: int) -> None:
    """Write so many PNG files, over again from the first image when they are used up."""
    for number in range(count):
        Image.fromarray(images[number % len(images)].numpy()).save(folder / f"{number:05}.png")


def write_strings(images: Tensor, labels: Tensor, folder: Path) -> tuple[list[Path], list[str]]:
    """Write strings of five digits as PNG files, the same ones every time; return them and their numbers."""
    paths = [folder / f"{number}.png" for number in range(STRINGS)]
    numbers = []
    for seed, path in enumerate(paths):
        picture, number = string_of_digits(images.numpy(), labels.numpy(), np.random.default_rng(seed))
        picture.save(path)
        numbers.append(number)
    return paths, numbers


def predict(checkpoint: str, folder: Path, table: Path) -> dict[str, float]:
    """Read a folder through the command line and return its seconds and peak memory."""
    return run(
        [HERE, "-m", "src.cli", "predict", "--ckpt_path", checkpoint, "--images", str(folder), "--output", str(table)]
    )


def accuracy(trained: Trained, images: Tensor, labels: Tensor) -> float:
    """Return the share of images that a network reads right."""
    return float((trained.network(images)[0].argmax(dim=1) == labels).float().mean())


def measure(checkpoints: list[str]) -> dict[str, Any]:
    """Return the accuracy of each network on each variant, and the speed of the first."""
    data = MNISTDataModule()
    data.setup("test")
    images, labels = data.splits["test"].images, data.splits["test"].labels
    times = speed(checkpoints[0], images)  # before this process grows, as a command's peak begins with its size
    networks = {name: Trained.load(name) for name in checkpoints}
    scores: dict[str, dict[str, float]] = {name: {RAW: accuracy(net, images, labels)} for name, net in networks.items()}
    with tempfile.TemporaryDirectory() as place:
        folder, table = Path(place) / "pictures", Path(place) / "table.csv"
        folder.mkdir()
        write_files(images, folder, len(images))
        for name in networks:
            predict(name, folder, table)
            with table.open(newline="") as file:
                answers = [int(row["digit"] or -1) for row in csv.DictReader(file)]
            scores[name][FILES] = float((torch.tensor(answers) == labels).float().mean())
        for variant in VARIANTS:
            seen = changed(variant, images)
            for name, network in networks.items():
                scores[name][variant] = accuracy(network, seen, labels)
                print(f"{name}: {variant}: {scores[name][variant]:.4f}", flush=True)
    whole = {}
    with tempfile.TemporaryDirectory() as place:
        paths, numbers = write_strings(images, labels, Path(place))
        for name, network in networks.items():
            texts = [reading.text for reading in read(paths, network)]
            whole[name] = sum(map(eq, texts, numbers))
    validation = MNISTDataModule()
    validation.setup("fit")
    val = validation.splits["val"]
    recipes = dict(list(networks.items())[:2])  # a distilled network is right more often where it is unsure
    return {
        "unsure": confidences(recipes, changed("all together", val.images), val.labels),
        "touching": pairs(networks, images.numpy(), labels.numpy()),
        "accuracy": scores,
        "strings": {"strings": STRINGS, **whole},
        "speed": times,
        "machine": machine(),
    }


def speed(checkpoint: str, images: Tensor) -> list[dict[str, float]]:
    """Time the whole command on folders of different sizes."""
    times = []
    for count in SPEED:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "pictures"
            folder.mkdir()
            write_files(images, folder, count)
            figures = predict(checkpoint, folder, Path(place) / "table.csv")
        times.append({"pictures": count, "seconds": figures["whole_seconds"], "peak_mb": figures["peak_mb"]})
        print(json.dumps(times[-1]), flush=True)
    return times


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the documents' tables."""
    networks = results["accuracy"].values()
    heads = "".join(f" {name} | points lost |" for name in results["accuracy"])
    rows = [f"| the 10,000 test images as |{heads} allowed |", "|---" * (2 + 2 * len(networks)) + "|"]
    for variant in (RAW, FILES, *VARIANTS):
        cells = "".join(f" {score[variant]:.4f} | {100 * (score[RAW] - score[variant]):.2f} |" for score in networks)
        rows.append(f"| {variant} |{cells} {'' if variant == RAW else MOST_LOST.get(variant, MOST_LOST_OF_VARIANTS)} |")
    strings = results["strings"]
    shares = "".join(f" {strings[name] / strings['strings']:.4f} | |" for name in results["accuracy"])
    rows.append(f"| {strings['strings']:,} strings of 5 of them, read whole |{shares} |")
    touching = results["touching"]
    for what, words in (("unsure", "marked unsure"), ("cut", "read whole by a cut at the thinnest place")):
        shares = "".join(f" {touching[name][what] / touching['pairs']:.4f} | |" for name in results["accuracy"])
        rows.append(f"| {touching['pairs']:,} pairs of them that touch, {words} |{shares} |")
    rows += ["", "| PNG files | the whole command | a second, start-up aside | peak memory |", "|---|---|---|---|"]
    first = results["speed"][0]
    for timing in results["speed"]:
        more = timing["pictures"] - first["pictures"]
        rate = f"{more / (timing['seconds'] - first['seconds']):,.0f}" if more else ""
        rows.append(f"| {timing['pictures']:,} | {timing['seconds']:.1f} s | {rate} | {timing['peak_mb']:.0f} MB |")
    people = {"pictures": table(results["pictures"]), "ocr": peers_table(results["pictures"], results["peers"])}
    return {"digits": "\n".join(rows), **people}


def main() -> None:
    """Measure, or only make the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt_path", nargs="+", default=["best"], help="checkpoints or run folders")
    parser.add_argument("--table", action="store_true", help="only write the documents' table from recorded results")
    parser.add_argument("--pictures", type=Path, help="only score a folder of labelled pictures of one digit each")
    parser.add_argument("--peers", action="store_true", help="with --pictures: by Tesseract and RapidOCR too")
    flags = parser.parse_args()
    results = json.loads(RESULTS.read_text())
    if flags.pictures:
        results["pictures"] = score(flags.ckpt_path, flags.pictures)
        results |= {"peers": score_peers(flags.pictures)} if flags.peers else {}
    elif not flags.table:
        results |= measure(flags.ckpt_path)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_tables(tables(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
