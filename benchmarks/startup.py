"""What do predict, export and serve cost before they read a picture? Processor time beside that of their libraries.

``python -m benchmarks.startup`` writes ``benchmarks/results/startup.json`` (about four minutes). There are two figures
for a command: of its imports alone, in a process that does nothing else, and of the whole command, refused for its
checkpoint, which is the first thing that it reads. The second is lower, because ``python -m src.cli`` neither looks for
garbage while it imports nor frees its objects one by one at its end. What export uses to trace and write a network
(torch.export's and ONNX's own parts) is imported when it does that, and belongs to its work.
"""

import argparse
import json
import statistics
from pathlib import Path

from benchmarks.processes import HERE, machine, run, versions

RESULTS = Path(__file__).parent / "results" / "startup.json"
LIBRARIES = "import torch, PIL.Image"
TARGET = 1.3  # times the processor time of the libraries
REFUSED = 2
IMPORTS = {
    "libraries": LIBRARIES,
    "libraries with FastAPI and uvicorn": f"{LIBRARIES}, fastapi, uvicorn",
    "libraries with Lightning": f"{LIBRARIES}, lightning.pytorch.cli",
    "imports of predict": "import src.cli.main, src.predict",
    "imports of export": "import src.cli.main, src.export",
    "imports of serve": "import src.cli.main, src.serve.app, uvicorn",
}
COMMANDS = {
    "predict": ["--images", "README.md"],
    "export": ["--output", "network.pt2"],
    "serve": [],
}


def measure() -> dict[str, float]:
    """Return the processor seconds of each process, run one after the other."""
    seconds = {name: run([HERE, "-c", code])["processor_seconds"] for name, code in IMPORTS.items()}
    for name, words in COMMANDS.items():
        command = [HERE, "-m", "src.cli", name, "--ckpt_path", "nowhere.ckpt", *words]
        seconds[name] = run(command, exit_code=REFUSED)["processor_seconds"]
    return seconds


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = [measure() for _ in range(1 + parser.parse_args().rounds)][1:]  # the first one fills the disk's cache
    medians = {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}
    ratios = {name: statistics.median(figures[name] / figures["libraries"] for figures in rounds) for name in rounds[0]}
    for name, value in medians.items():
        print(f"{name:<36} {value:.2f} s  {ratios[name]:.2f}")
    content = {
        "machine": machine(),
        "versions": versions(peers=False),
        "target": TARGET,
        "processor_seconds": medians,
        "ratios": ratios,
        "rounds": rounds,
    }
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
