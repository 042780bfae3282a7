"""The memory that training takes without the page cache, measured in a process of its own (Linux)."""

import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path


def anonymous_bytes() -> int:
    """Return this process' resident memory without the page cache."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("RssAnon:")[1].split()[0])


def train(batches: int, words: list[str]) -> None:
    """Train two epochs of so many batches, and print the peak and the seconds per sample of the second."""
    from src.cli.main import main

    peak = 0
    stop = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.02):
            peak = max(peak, anonymous_bytes())

    threading.Thread(target=watch, daemon=True).start()
    with tempfile.TemporaryDirectory() as place:
        flags = ["--trainer.max_epochs", "2", "--trainer.default_root_dir", place, *words]
        limit = ["--trainer.limit_train_batches", str(batches), "--trainer.limit_val_batches", "0"]
        limit += ["--model.steps_per_execution", "1"]  # the limit counts batches
        if main(["fit", "--config", "configs/mlp.yaml", *flags, *limit, "--trainer.enable_progress_bar", "false"]):
            raise SystemExit("training failed")
        result = json.loads((Path(place) / "lightning_logs" / "version_0" / "result.json").read_text())
    stop.set()
    last = result["epochs"][-1]
    print(json.dumps({"peak_rss_anon_mb": peak / 1e6, "microseconds_per_sample": 1e6 / last["samples_per_second"]}))


def memory_of(batches: int, *words: str) -> dict[str, float]:
    """Return ``peak_rss_anon_mb`` and ``microseconds_per_sample`` of a training, words being flags of ``fit``."""
    command = [sys.executable, "-m", "benchmarks.memory", str(batches), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    train(int(sys.argv[1]), sys.argv[2:])
