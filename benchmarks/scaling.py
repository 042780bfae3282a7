"""What the main job costs when the data, the batches or the network grow, and where the time goes.

``make bench-scaling`` (``python -m benchmarks.scaling``) writes ``benchmarks/results/scaling.json`` and its chart;
``--chart`` draws it again from the recorded results. Three runs are compared at every size: the main job, the bare
PyTorch loop, and the floor of both, the matrix products and Adam's updates alone.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.processes import HERE, MAIN_JOB, Figures, machine, run, run_fit, versions

RESULTS = Path(__file__).parent / "results" / "scaling.json"
RAW = Path("data/MNIST/raw")
SIZES, BATCH_SIZES, WIDTHS = (
    (12_000, 48_000, 480_000, 4_800_000),
    (50, 100, 200, 500, 1000, 2000, 5000),
    (64, 256, 1024, 4096),
)
VAL_SIZE = 12_000
DEFAULT = {"samples": 48_000, "batch_size": 200, "hidden_units": 256}
FLOAT32_UP_TO = 1_000_000  # the bare loop holds more as uint8
EPOCHS = {12_000: 10, 48_000: 4, 480_000: 2, 4_800_000: 1}
REPEATS = 2
OURS, BARE, FLOOR = "this project", "bare PyTorch loop", "matrix products and Adam alone"
Point = dict[str, Any]
"""samples, batch_size and hidden_units, and under each name the seconds of every epoch measured."""


def points() -> list[Point]:
    """Return the sizes to measure: one of the three varies, the other two are the main job's."""
    varied = [("samples", SIZES), ("batch_size", BATCH_SIZES), ("hidden_units", WIDTHS)]
    sizes = [DEFAULT | {name: value} for name, values in varied for value in values]
    return [point for number, point in enumerate(sizes) if point not in sizes[:number]]


def generate(folder: Path, samples: int) -> None:
    """Write ``samples`` images to train and 12,000 to validate by repeating the real ones; link the test files."""
    for kind, header in (("images-idx3", 16), ("labels-idx1", 8)):
        source = (RAW / f"train-{kind}-ubyte").read_bytes()
        item = (len(source) - header) // 60_000
        train, val = source[header : header + 48_000 * item], source[header + 48_000 * item :]
        with (folder / f"train-{kind}-ubyte").open("wb") as file:
            file.write(source[:4] + (samples + VAL_SIZE).to_bytes(4) + source[8:header])
            for start in range(0, samples, 48_000):
                file.write(train[: min(48_000, samples - start) * item])
            file.write(val)
        (folder / f"t10k-{kind}-ubyte").symlink_to((RAW / f"t10k-{kind}-ubyte").resolve())


def epochs(figures: Figures) -> list[float]:
    """Return the seconds of all epochs, without the first where there are more."""
    seconds: list[float] = figures["epoch_seconds"]
    return seconds[1:] or seconds


def measure_point(point: Point, folder: Path) -> None:
    """Run the three ways at one size and add their figures to the point."""
    sizes = {name: str(point[name]) for name in ("batch_size", "hidden_units")}
    number = str(EPOCHS[point["samples"]])
    ours = run_fit(
        MAIN_JOB,
        *("--data.data_dir", str(folder), "--trainer.max_epochs", number),
        *("--data.batch_size", sizes["batch_size"], "--model.hidden_units", f"[{sizes['hidden_units']}]"),
    )
    flags = [word for name, value in sizes.items() for word in (f"--{name}", value)]
    script = [*flags, "--data_dir", str(folder), "--epochs", number]
    script += ["--uint8"] if point["samples"] > FLOAT32_UP_TO else []
    bare, floor = (run([HERE, "-m", f"benchmarks.peers.{name}", *script]) for name in ("bare_torch", "floor"))
    for name, figures in ((OURS, ours), (BARE, bare), (FLOOR, floor)):
        point.setdefault(name, []).extend(epochs(figures))
    point.setdefault("products", []).append(floor["products_seconds"])
    print(json.dumps(point), flush=True)


def measure() -> list[Point]:
    """Measure all points in turn, and the ones that take less than minutes twice."""
    measured = points()
    for samples in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder), samples)
            for _ in range(REPEATS if EPOCHS[samples] > 1 else 1):
                for point in measured:
                    if point["samples"] == samples:
                        measure_point(point, Path(folder))
    return measured


def where_the_time_goes(point: Point) -> dict[str, float]:
    """Split an epoch of the main job into seconds, by the differences between the three ways."""
    ours, bare, floor, products = (statistics.median(point[name]) for name in (OURS, BARE, FLOOR, "products"))
    return {
        "matrix products": products,
        "Adam": floor - products,
        "batches, autograd, loss": bare - floor,
        "Lightning, metrics,\nlogs, checkpoints": ours - bare,
    }


def chart(timed: list[Point]) -> None:
    """Draw the three curves against each size, and the parts of an epoch."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(11, 7.5), layout="constrained")
    panels = zip(axes.flat, ("samples", "batch_size", "hidden_units"), strict=False)
    for axis, varied in panels:
        chosen = [point for point in timed if all(point[name] == DEFAULT[name] for name in DEFAULT if name != varied)]
        chosen.sort(key=lambda point: point[varied])
        for name in (OURS, BARE, FLOOR):
            costs = [1e6 * statistics.median(point[name]) / point["samples"] for point in chosen]
            axis.plot([point[varied] for point in chosen], costs, marker="o", label=name)
        axis.set(xscale="log", xlabel=varied.replace("_", " "), ylabel="µs per training sample, validation included")
        axis.set(**({"ylim": (0, None)} if varied == "samples" else {"yscale": "log"}))
        axis.set_xticks([point[varied] for point in chosen], [f"{point[varied]:,}" for point in chosen])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes.flat[0].legend(frameon=False)
    parts = where_the_time_goes(next(point for point in timed if DEFAULT.items() <= point.items()))
    bars = axes.flat[3].barh(list(parts), list(parts.values()))
    axes.flat[3].bar_label(bars, fmt="%.3f s", padding=3)
    axes.flat[3].set(xlabel="seconds of a steady epoch (48,000 + 12,000 images)", xmargin=0.2)
    axes.flat[3].invert_yaxis()
    figure.savefig(RESULTS.with_suffix(".png"), dpi=110)


def main() -> None:
    """Measure and draw, or only draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chart", action="store_true", help="only draw the chart from recorded results")
    if not parser.parse_args().chart:
        content = {"machine": machine(), "versions": versions(peers=False), "points": measure()}
        RESULTS.write_text(json.dumps(content) + "\n")
    chart(json.loads(RESULTS.read_text())["points"])


if __name__ == "__main__":
    main()
