"""What the data costs: reading and checking the files, one epoch of batches, and sets larger than the memory.

``python -m benchmarks.data`` measures and writes ``benchmarks/results/data.json`` and the documents' table (about ten
minutes on two cores; ``--large`` leaves the folder with 8,100,000 generated images, 6.35 GB, where it says, and
``--small`` leaves the large set out). Figures of one table come from one run, interleaved; medians.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset
from torchvision import datasets, transforms

from benchmarks.documents import write_tables
from benchmarks.memory import memory_of
from src.data.batches import EpochOrder
from src.data.checks import DEFAULT_ROOT
from src.data.datamodule import MNISTDataModule
from src.data.datasets import DATASETS
from src.data.idx import read_idx, write_idx
from src.data.sources import place_files

RESULTS = Path(__file__).parent / "results" / "data.json"
LARGE = 8_100_000
SLICE = 1_000_000
REPEATS = 7


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def loaded() -> MNISTDataModule:
    """Return the main job's data, read and checked."""
    data = MNISTDataModule()
    data.setup("fit")
    return data


def load_everything() -> None:
    """Check and read all four files."""
    data = MNISTDataModule()
    data.setup("fit")
    data.setup("test")


def place_once() -> None:
    """Place the packaged copy in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        place_files("MNIST", Path(folder))


def loader_epoch(data: MNISTDataModule) -> None:
    """One epoch of this project's batches as the network takes them."""
    for batch in data.train_dataloader():
        data.on_after_batch_transfer(batch, 0)


def gather_epoch(data: MNISTDataModule) -> None:
    """The plain gather alone: index_select of images and labels, and the division that makes them float32."""
    images, labels = data.splits["train"].images, data.splits["train"].labels.long()
    order = EpochOrder(48_000, 0).order()
    for start in range(0, 48_000, 200):
        chosen = order[start : start + 200]
        images.index_select(0, chosen).float().div_(255)
        labels.index_select(0, chosen)


def drain(loader: DataLoader) -> None:  # type: ignore[type-arg]
    """One epoch of a DataLoader."""
    for _ in loader:
        pass


def epochs() -> dict[str, float]:
    """Time one epoch of 240 batches of 200 in each way."""
    data = loaded()
    images = data.splits["train"].images[:48_000]
    in_memory = TensorDataset(images.float().div(255), data.splits["train"].labels[:48_000].long())
    per_image = datasets.MNIST(str(DEFAULT_ROOT), transform=transforms.ToTensor())
    ways: dict[str, Callable[[], object]] = {
        "this project": lambda: loader_epoch(data),
        "bare index_select": lambda: gather_epoch(data),
        "TensorDataset in a DataLoader": lambda: drain(DataLoader(in_memory, 200, shuffle=True)),
        "torchvision's MNIST in a DataLoader": lambda: drain(
            DataLoader(torch.utils.data.Subset(per_image, range(48_000)), 200, shuffle=True)
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(REPEATS + 1):
        for name, way in ways.items():
            if repeat <= 3 or "torchvision" not in name:  # three are enough for what takes seconds
                times[name].append(seconds(way))
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def generate(folder: Path) -> None:
    """Write 8,100,000 images straight to IDX files, a block of the real images and labels repeated with a shift."""
    files = [folder / name for name in DATASETS["MNIST"].files]
    if all(path.exists() for path in files):
        return
    folder.mkdir(parents=True, exist_ok=True)
    raw = DEFAULT_ROOT / "MNIST" / "raw"
    images, labels = (read_idx(raw / path.name) for path in files[:2])
    for path, block, shape in ((files[0], images, (28, 28)), (files[1], labels, ())):
        with path.open("wb") as file:
            file.write(bytes([0, 0, 8, 1 + len(shape)]))
            file.write(b"".join(size.to_bytes(4) for size in (LARGE, *shape)))
            for turn in range(LARGE // len(block)):
                file.write((block.roll(turn % 3, dims=-1) if shape else block).numpy().tobytes())
    for path in files[2:]:
        write_idx(path, read_idx(raw / path.name))


def large(folder: Path) -> dict[str, dict[str, float]]:
    """Train on 48,000 images, on a slice of the large set and on all of it, each in its own process."""
    generate(folder)
    raw = str(DEFAULT_ROOT)
    runs = {
        "48,000 of 60,000 in memory": (raw, 240),
        "1,000,000 of 8,100,000 mapped": (str(folder), SLICE // 200),
        "all 8,100,000 mapped": (str(folder), (LARGE - 12_000) // 200),
    }
    return {name: memory_of(batches, "--data.data_dir", place) for name, (place, batches) in runs.items()}


def tables(results: dict[str, dict[str, dict[str, float]]]) -> dict[str, str]:
    """Return the documents' table."""
    files, ways = results["files"], results["epoch"]
    rows = ["| one epoch of 240 batches of 200 as normalized float32 | seconds |", "|---|---|"]
    rows += [f"| {name} | {value:.3f} |" for name, value in ways.items()]
    rows += ["", "| the four files of MNIST | seconds |", "|---|---|"]
    rows += [f"| {name} | {value:.3f} |" for name, value in files.items()]
    if "large" in results:
        rows += ["", "| training on | peak memory without page cache | µs per sample |", "|---|---|---|"]
        for name, row in results["large"].items():
            memory, cost = row["peak_rss_anon_mb"], row["microseconds_per_sample"]
            rows.append(f"| {name} | {memory:.0f} MB | {cost:.1f} |")
    return {"data": "\n".join(rows)}


def main() -> None:
    """Measure, or only make the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", type=Path, help="keep the generated images in this folder")
    parser.add_argument("--small", action="store_true", help="leave the large set out")
    parser.add_argument("--table", action="store_true", help="only write the documents' table from recorded results")
    request = parser.parse_args()
    if not request.table:
        results: dict[str, object] = {"cores": os.cpu_count(), "torch": torch.__version__}
        place_files()
        results["files"] = {
            "check and read": statistics.median(seconds(load_everything) for _ in range(REPEATS)),
            "place the packaged copy, once": statistics.median(seconds(place_once) for _ in range(3)),
        }
        results["epoch"] = epochs()
        if not request.small:
            with tempfile.TemporaryDirectory() as folder:
                results["large"] = large(request.large or Path(folder))
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_tables(tables(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
