"""What coloured pictures cost: read from folders, gathered and normalized, trained on in numbers, and learned.

``python -m benchmarks.coloured`` writes ``benchmarks/results/coloured.json`` and the documents' table (six minutes on
two cores, and 4 GB in the folder for temporary files); ``--table`` writes the table alone, from recorded results. The
pictures are drawn: a disc or a square in one of three colours, anywhere on a ground of another one.
"""

import argparse
import json
import re
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import loader_epoch, seconds
from benchmarks.documents import write_tables
from benchmarks.memory import memory_of
from benchmarks.processes import HERE, machine, run, versions
from src.data.datamodule import MNISTDataModule
from tests.pictures import CLASSES, draw_picture

RESULTS = Path(__file__).parent / "results" / "coloured.json"
SIDE, PICTURES, MANY, REPEATS = 32, 50_000, 1_000_000, 9
PAGE = Path("docs/make_it_yours.md")
RIGHT = 0.99  # of the validation set, to be learned


def draw(folder: Path, name: str) -> None:
    """Draw this class's share of the pictures."""
    place = folder / "train" / name
    place.mkdir(parents=True)
    for number in range(PICTURES // len(CLASSES)):
        draw_picture(name, SIDE, number).save(place / f"{number:05}.png")


def read_folder(folder: Path) -> dict[str, float]:
    """Time the first reading of a folder and the next one, which finds the arrays beside it."""
    with ProcessPoolExecutor() as workers:
        list(workers.map(partial(draw, folder), CLASSES))
    times = [seconds(MNISTDataModule("folder", str(folder)).prepare_data) for _ in range(2)]
    return {"pictures_per_second": len(CLASSES) * (PICTURES // len(CLASSES)) / times[0], "again_seconds": times[1]}


def per_byte(folder: Path) -> dict[str, float]:
    """Time an epoch of gathered and normalized batches, per byte, beside MNIST's; medians of interleaved repeats."""
    sets = {"mnist": MNISTDataModule(), "coloured": MNISTDataModule("folder", str(folder), val_size=2_000)}
    times: dict[str, list[float]] = {name: [] for name in sets}
    for data in sets.values():
        data.prepare_data()
        data.setup("fit")
    for _ in range(REPEATS):
        for name, data in sets.items():
            images = data.splits["train"].images
            times[name].append(
                seconds(partial(loader_epoch, data)) / (len(data.splits["train"].members) * images[0].numel())
            )
    nanoseconds = {name: 1e9 * statistics.median(values) for name, values in times.items()}
    return nanoseconds | {"ratio": nanoseconds["coloured"] / nanoseconds["mnist"]}


def write_arrays(folder: Path) -> None:
    """Write a million coloured images, the same 1,000 with other pixels turned around."""
    folder.mkdir()
    some = np.stack([np.asarray(draw_picture(CLASSES[number % 6], SIDE, number)) for number in range(996)])
    images = np.lib.format.open_memmap(folder / "x_train.npy", "w+", np.uint8, (MANY, SIDE, SIDE, 3))
    for start in range(0, MANY, len(some)):
        images[start : start + len(some)] = np.roll(some, start // len(some), axis=2)[: MANY - start]
    images.flush()
    np.save(folder / "y_train.npy", (np.arange(MANY) % len(some) % 6).astype(np.uint8))
    np.save(folder / "x_test.npy", some)
    np.save(folder / "y_test.npy", (np.arange(len(some)) % 6).astype(np.uint8))
    (folder / "classes.txt").write_text("\n".join(CLASSES) + "\n")


def train_many(folder: Path) -> dict[str, float]:
    """Return the peak memory without the page cache of an epoch over 48,000 of them, and over all."""
    words = ["--data.dataset", "arrays", "--data.data_dir", str(folder)]
    return {f"{200 * batches:,}": memory_of(batches, *words)["peak_rss_anon_mb"] for batches in (240, MANY // 200 - 60)}


def learn(folder: Path) -> dict[str, Any]:
    """Train the page's residual network on the folder; return the seconds until it is right on validation."""
    with tempfile.TemporaryDirectory(dir=".") as place:  # from where Python imports its module
        (source,) = re.findall(r"```python\n(# residual.py\n.*?)```", PAGE.read_text(), re.DOTALL)
        (Path(place) / "residual.py").write_text(source)
        words = ["--model.network", f"{Path(place).name}.residual.Residual", "--model.network.channels", "3"]
        words += ["--model.network.classes", "6", "--model.lr", "0.003", "--data.dataset", "folder"]
        words += ["--data.data_dir", str(folder), "--data.val_size", "2000", "--trainer.max_epochs", "5"]
        command = [HERE, "-m", "src.cli", "fit", *words, "--trainer.default_root_dir", place]
        run([*command, "--inspection.enabled", "false"])
        result = json.loads((Path(place) / "lightning_logs/version_0/result.json").read_text())
    used = 0.0
    for epoch in result["epochs"]:
        used += epoch["seconds"]
        if epoch["val/acc"] >= RIGHT:
            return {"epoch": epoch["epoch"], "val/acc": epoch["val/acc"], "seconds": used}
    raise SystemExit(f"not learned: {result['epochs'][-1]}")


def table(results: dict[str, Any]) -> str:
    """Return the documents' table."""
    reading, cost, peaks, learned = (results[name] for name in ("folder", "per_byte", "memory", "learned"))
    few, many = peaks
    rows = [
        ("read from folders the first time", f"{reading['pictures_per_second']:,.0f} pictures a second"),
        (f"the {PICTURES:,} again", f"{reading['again_seconds']:.2f} s"),
        ("gathered and normalized a batch at a time, per byte", f"{cost['ratio']:.2f} times MNIST's"),
        (f"peak memory without page cache, {few} and {many} images", f"{peaks[few]:.0f} and {peaks[many]:.0f} MB"),
        (f"the residual network reaches {RIGHT:.0%}", f"after {learned['seconds']:.0f} s, in epoch {learned['epoch']}"),
    ]
    return "\n".join(["| pictures of 32 x 32 x 3 | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def main() -> None:
    """Measure, or only make the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only write the documents' table from recorded results")
    if not parser.parse_args().table:
        with tempfile.TemporaryDirectory() as place:
            folder, arrays = Path(place) / "folder", Path(place) / "arrays"
            results = {"machine": machine(), "versions": versions(peers=False), "folder": read_folder(folder)}
            time.sleep(5)  # until the disk has written
            results |= {"per_byte": per_byte(folder), "learned": learn(folder)}
            shutil.rmtree(folder)
            write_arrays(arrays)
            results["memory"] = train_many(arrays)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_tables({"coloured": table(json.loads(RESULTS.read_text()))})


if __name__ == "__main__":
    main()
