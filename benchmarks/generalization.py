"""What is a network's accuracy worth on other people's digits, on spoiled ones, and on what is no digit?

``python -m benchmarks.generalization --checkpoints NAME=PATH[,PATH...]`` takes recipes, each with its seeds'
checkpoints, and writes ``benchmarks/results/generalization.json`` and the documents' tables (about 90 seconds of one
core, and seconds for each checkpoint). ``--table`` writes the tables alone, ``--small`` tries it out on a few pictures
and writes nothing, ``--split val`` prints what becomes of validation images, corrupted and made like UCI's digits, for
choices to be made on, and writes nothing. It needs the extra ``bench``, and Debian's package ``dataset-fashion-mnist``
for Fashion-MNIST.

MNIST-C is made by ``benchmarks/corruptions.py``; other people's digits and what is no digit come from
``benchmarks/others.py``. All 10,000 corrupted test images go to the network as raw pixels, as MNIST's own do, and every
fifth is read as ``predict`` reads a PNG file; what is not read as one digit counts as wrong. Every threshold is chosen
on the validation split.
"""

import argparse
import hashlib
import json
import resource
from pathlib import Path
from typing import Any

from benchmarks import others
from benchmarks.accuracy import mean_and_sd
from benchmarks.corruptions import CORRUPTIONS
from benchmarks.documents import write_tables
from benchmarks.others import EVERY, Pictures
from benchmarks.processes import machine, versions
from benchmarks.trust import RIGHT, Record, on_corruptions, on_mnist, on_nonsense, on_others
from src.common.errors import UsageError
from src.data.datamodule import MNISTDataModule
from src.data.datasets import DIGITS
from src.runs.trained import Trained

RESULTS = Path(__file__).parent / "results" / "generalization.json"
FEW = 100  # pictures of each kind, with --small
SHORT = ("test/acc", others.ENLARGED, "raw", "kept/0.999", f"sure/raw/{others.FASHION}", "seeds")  # in the README


def parse(words: list[str]) -> dict[str, list[Trained]]:
    """Load the checkpoints of each recipe.

    Raises:
        UsageError: If there is none, or it is no network for digits.
    """
    recipes = {}
    for word in words:
        name, _, paths = word.partition("=")
        if not paths:
            raise UsageError(
                f"--checkpoints {word} names no file: write NAME=PATH, or NAME=PATH,PATH for several seeds."
            )
        recipes[name] = [Trained.load(path) for path in paths.split(",")]
        for trained in recipes[name]:
            if trained.classes != DIGITS or trained.image_shape != (28, 28):
                raise UsageError(f"--checkpoints {trained.checkpoint} is no network for digits of 28 x 28 pixels.")
    return recipes


def measure(recipes: dict[str, list[Trained]], qmnist: str | None, fashion: str, most: int | None) -> dict[str, Any]:
    """Return the figures of every checkpoint, and what they were measured on."""
    data = MNISTDataModule()
    for stage in ("fit", "test"):
        data.setup(stage)
    val, test = ((data.splits[name].images, data.splits[name].labels.long()) for name in ("val", "test"))
    digits, nonsense = others.other_digits(qmnist, most), others.not_digits(fashion, most)
    spoiled = others.corrupted(test[0][:most], test[1][:most], EVERY)
    records: dict[str, list[Record]] = {name: [] for name in recipes}
    for name, networks in recipes.items():
        for trained in networks:
            record = on_mnist(trained, val, test) | on_corruptions(trained, spoiled) | on_others(trained, digits)
            records[name].append(record | on_nonsense(trained, nonsense, record["sure"]))
            print(name, {key: record[key] for key in ("seed", "test/acc", "raw", "seen", *digits)}, flush=True)
    return {"recipes": records, "sets": {name: describe(some) for name, some in (digits | nonsense | spoiled).items()}}


def describe(some: Pictures) -> dict[str, Any]:
    """Return how many pictures there are, how many of them are read as one digit, and which they are."""
    content = hashlib.sha256((some.seen if some.raw is None else some.raw).numpy().tobytes()).hexdigest()
    return {"pictures": len(some.labels), "seen": len(some.seen), "read": int(some.is_read.sum()), "sha256": content}


def validate(recipes: dict[str, list[Trained]], most: int | None) -> str:
    """Return tables of what becomes of every fifth validation image in the corruptions, and made like UCI's digits."""
    data = MNISTDataModule()
    data.setup("fit")
    images, labels = (part[::EVERY][:most] for part in (data.splits["val"].images, data.splits["val"].labels))
    spoiled = others.corrupted(images, labels, 1)
    like = {others.ENLARGED: others.pictures(map(others.like_uci, images.numpy()), labels)}
    records = {
        name: [on_corruptions(trained, spoiled) | on_others(trained, like) for trained in networks]
        for name, networks in recipes.items()
    }
    right = (f"{name}: {cell(some, others.ENLARGED)} % right made like UCI optdigits" for name, some in records.items())
    return "\n".join([corruptions_table(records), "", *right])


def cell(records: list[Record], *keys: str) -> str:
    """Return figures in percent, their means and standard deviations."""
    return " / ".join(mean_and_sd(records, key) for key in keys) if keys[0] in records[0] else "not measured"


def corruptions_table(recipes: dict[str, list[Record]]) -> str:
    """Return the table of the corruptions."""
    rows = [
        f"| % wrong, raw / as `predict` reads it | parameters | {' | '.join(recipes)} |",
        "|---" * (2 + len(recipes)) + "|",
    ]
    for name, corruption in CORRUPTIONS.items():
        words = ", ".join(f"{key} {value:g}" for key, value in corruption.parameters.items())
        words += f" (severity {corruption.severity})" if corruption.severity else ""
        cells = (cell(records, f"raw/{name}", f"seen/{name}") for records in recipes.values())
        rows.append(f"| {name.replace('_', ' ')} | {words} | {' | '.join(cells)} |")
    cells = (cell(records, "raw", "seen") for records in recipes.values())
    return "\n".join([*rows, f"| mean | | {' | '.join(cells)} |"])


def card() -> dict[str, list[str]]:
    """Return the lines of the card with the figures in each."""
    lines = {"MNIST's test images, % right": ["test/acc"]}
    lines |= {f"{name}, % right": [name] for name in (others.ENLARGED, others.FILES, others.QMNIST)}
    lines["MNIST-C raw / as `predict` reads it, % wrong"] = ["raw", "seen"]
    for right in RIGHT:
        lines[f"answers kept so that {100 * right:g} % are right / right, %"] = [f"kept/{right}", f"right/{right}"]
    calibration = ["calibration", "calibration/raw", "calibration/seen"]
    lines["calibration error, %: test images / MNIST-C raw / as read"] = calibration
    for name in (others.FASHION, others.NOISE, others.GREY):
        lines[f"sure of {name}, raw / as read, %"] = [f"sure/raw/{name}", f"sure/seen/{name}"]
    lines[f"sure of {others.LETTERS}, as read, %"] = [f"sure/seen/{others.LETTERS}"]
    return lines | {"under attack, % right": ["attacked"]}


def tables(content: dict[str, Any]) -> dict[str, str]:
    """Return the documents' tables: a short one, the whole card, and each corruption."""
    recipes: dict[str, list[Record]] = content["recipes"]
    head = [f"| | {' | '.join(recipes)} |", "|---" * (1 + len(recipes)) + "|"]
    rows = {
        keys[0]: f"| {line} | {' | '.join(cell(records, *keys) for records in recipes.values())} |"
        for line, keys in card().items()
    }
    rows["seeds"] = f"| seeds | {' | '.join(str(len(records)) for records in recipes.values())} |"
    return {
        "generalization": "\n".join([*head, *(rows[key] for key in SHORT)]),
        "card": "\n".join([*head, *rows.values()]),
        "corruptions": corruptions_table(recipes),
    }


def main() -> None:
    """Measure, or only make the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoints", nargs="+", default=["best=best"], metavar="NAME=PATH[,PATH...]")
    parser.add_argument("--qmnist", help="the folder with others.QMNIST's files; left out, torchvision downloads them")
    parser.add_argument("--fashion", default=others.FASHION_FOLDER, help="the folder with Fashion-MNIST's files")
    parser.add_argument("--split", choices=["test", "val"], default="test")
    parser.add_argument("--small", action="store_true", help="a few pictures of each kind; nothing is written")
    parser.add_argument("--table", action="store_true", help="only write the documents' tables from recorded results")
    request = parser.parse_args()
    most = FEW if request.small else None
    if not request.table:
        try:
            recipes = parse(request.checkpoints)
        except UsageError as error:
            parser.error(str(error))
        if request.split == "val":
            print(validate(recipes, most))
            return
        content = measure(recipes, request.qmnist, request.fashion, most)
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        content["processor_seconds"] = sum(part.ru_utime + part.ru_stime for part in used)
        content |= {"machine": machine(), "versions": versions(peers=False)}
        if request.small:
            print(tables(content)["card"])
            return
        RESULTS.write_text(json.dumps(content, indent=1) + "\n")
    write_tables(tables(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
