"""How many of people's own pictures of one digit are read right, by their kind? A part of ``benchmarks/digits.py``.

Beside the networks, what people would take instead: Tesseract (``apt-get install tesseract-ocr``), told that there is
one character and that it is a digit, and RapidOCR (of ``benchmarks/peers/requirements.txt``), of whose answers the
digits count, as it finds text in a picture by itself and as it reads a whole picture as one line.
"""

import csv
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.processes import PEERS
from src.predict import read
from src.runs.trained import Trained


def labelled(folder: Path) -> list[tuple[Path, str, str]]:
    """Return the pictures of a folder with their labels and kinds: those of ``manifest.csv``, or ``NAME_LABEL.png``."""
    if (folder / "manifest.csv").is_file():
        with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
            return [(folder / row["file"], row["label"], row["kind"]) for row in csv.DictReader(file)]
    return [(path, path.stem.rpartition("_")[2], folder.name) for path in sorted(folder.iterdir()) if "_" in path.stem]


def score(checkpoints: list[str], folder: Path) -> dict[str, Any]:
    """Return how many of people's own pictures of one digit each network reads right, by their kind."""
    networks = {name: Trained.load(name) for name in checkpoints}
    single = [picture for picture in labelled(folder) if len(picture[1]) == 1]
    kinds: dict[str, dict[str, Any]] = {kind: {"pictures": 0} for _, _, kind in single}
    for _, _, kind in single:
        kinds[kind]["pictures"] += 1
    for name, network in networks.items():
        counts = {kind: Counter[str]() for kind in kinds}
        for reading, (_, label, kind) in zip(read([path for path, _, _ in single], network), single, strict=True):
            verdict = "right" if reading.text == label else "wrong"
            counts[kind].update([verdict, f"{verdict}, unsure"][: 1 + (reading.unsure or bool(reading.error))])
        for kind, count in counts.items():
            kinds[kind][name] = dict(sorted(count.items()))
    return kinds


def score_peers(folder: Path) -> dict[str, Any]:
    """Return how many of people's own pictures of one digit other programs read right, by their kind."""
    single = [picture for picture in labelled(folder) if len(picture[1]) == 1]
    paths = [str(path) for path, _, _ in single]
    lines = output([PEERS, "benchmarks/peers/rapid_ocr.py"], "\n".join(paths)).split("\n")
    detected, whole = zip(*(line.split("\t") for line in lines[: len(paths)]), strict=True)
    answers = {
        output(["tesseract", "--version"]).split("\n")[0]: [tesseract(path) for path in paths],
        "RapidOCR": detected,
        "RapidOCR, told where": whole,
    }
    return {
        name: dict(Counter(kind for text, (_, label, kind) in zip(texts, single, strict=True) if text == label))
        for name, texts in answers.items()
    }


def tesseract(path: str) -> str:
    """Return what Tesseract reads in a picture of one digit."""
    text = output(["tesseract", path, "-", "--psm", "10", "-c", "tessedit_char_whitelist=0123456789"])
    return "".join(text.split())


def output(command: list[str], text: str = "") -> str:
    """Return what a command prints; it uses one core."""
    alone = os.environ | {"OMP_THREAD_LIMIT": "1"}
    return subprocess.run(command, input=text, env=alone, capture_output=True, text=True, check=True).stdout


def peers_table(pictures: dict[str, dict[str, Any]], peers: dict[str, dict[str, int]]) -> str:
    """Return the table of what other programs read beside the networks, in percent."""
    networks = [name for name in next(iter(pictures.values())) if name != "pictures"]
    right = {name: {kind: row[name].get("right", 0) for kind, row in pictures.items()} for name in networks} | peers
    rows = ["| % of people's own pictures | " + " | ".join([*peers, *networks]) + " |", "|---" * (1 + len(right)) + "|"]
    for kinds in (*([kind] for kind in pictures), [*pictures]):
        count = sum(pictures[kind]["pictures"] for kind in kinds)
        shares = (100 * sum(right[name].get(kind, 0) for kind in kinds) / count for name in (*peers, *networks))
        rows.append(
            f"| {kinds[0] if len(kinds) == 1 else 'all'} | " + " | ".join(f"{share:.1f}" for share in shares) + " |"
        )
    return "\n".join(rows)


def table(pictures: dict[str, dict[str, Any]]) -> str:
    """Return the table of people's own pictures, with all of them in its last line."""
    names = [name for name in next(iter(pictures.values())) if name != "pictures"]
    heads = "".join(f" {name}, % right | errors marked | right ones marked |" for name in names)
    rows = [f"| people's own pictures | how many |{heads}", "|---" * (2 + 3 * len(names)) + "|"]
    total = {name: sum((Counter(row[name]) for row in pictures.values()), Counter()) for name in names}
    everything = {"pictures": sum(row["pictures"] for row in pictures.values()), **total}
    for kind, row in {**pictures, "all": everything}.items():
        cells = ""
        for count in (Counter(row[name]) for name in names):
            marked = [f"{count[f'{verdict}, unsure']} of {count[verdict]}" for verdict in ("wrong", "right")]
            cells += f" {100 * count['right'] / row['pictures']:.1f} | {marked[0]} | {marked[1]} |"
        rows.append(f"| {kind} | {row['pictures']} |{cells}")
    return "\n".join(rows)
