"""How fast is the main job, beside its peers? All do the same work, each as a process of its own, in turn.

``make bench`` (``python -m benchmarks.speed``) writes ``benchmarks/results/speed.json`` and the documents' tables;
``--table`` writes the tables alone, from the recorded results. The peers are the scripts in ``benchmarks/peers``; the
main job runs as a user runs it, and a callback beside it looks at the clock.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.documents import write_tables
from benchmarks.processes import HERE, MAIN_JOB, PEERS, Figures, machine, run, run_fit, versions

RESULTS = Path(__file__).parent / "results" / "speed.json"
Round = dict[str, Figures]
EPOCHS = 10
STEADY_FROM = 2  # epochs 3 to 10
VAL_ACC = (0.970, 0.981)  # the recipe's accuracy over seeds, with room; anything else is other work

# ways to run the main job -> the words that a user would add; the targets hold for the first one
OURS: dict[str, list[str]] = {
    "this project, without pictures": ["--inspection.enabled", "false"],
    "this project": [],
}
US, WITH_PICTURES = OURS
PICTURES_SECONDS = 0.8  # how much longer the pictures may make the whole command
BARE, NOTEBOOK = "bare PyTorch loop", "Keras on TensorFlow, as in the notebook"
TUNED = ("Keras on TensorFlow, tuned", "Keras on JAX, tuned")
SCAN, TUTORIAL, EXAMPLES = "JAX, an epoch as one scan", "Lightning, as in its tutorials", "PyTorch, as in its examples"
FLOOR, IMPORTS = "the floor: PyTorch's matrix products and Adam alone", "importing LightningCLI"


def script(python: str, name: str, *words: str, **environment: str) -> Callable[[], Figures]:
    """Return what runs one of the peers' scripts."""
    return partial(run, [python, "-m", f"benchmarks.peers.{name}", *words], environment)


def import_lightning() -> Figures:
    """Time what every start of a LightningCLI program must do."""
    figures = run([HERE, "-c", "from lightning.pytorch.cli import LightningCLI"])
    return {"first_step_seconds": figures["whole_seconds"]}


RUNS: dict[str, Callable[[], Figures]] = {
    **{name: partial(run_fit, MAIN_JOB, *words) for name, words in OURS.items()},
    BARE: script(HERE, "bare_torch"),
    SCAN: script(PEERS, "jax_scan"),
    TUNED[0]: script(PEERS, "keras_mlp", "--tuned", KERAS_BACKEND="tensorflow"),
    TUNED[1]: script(PEERS, "keras_mlp", "--tuned", KERAS_BACKEND="jax"),
    NOTEBOOK: script(PEERS, "keras_mlp", KERAS_BACKEND="tensorflow"),
    TUTORIAL: script(HERE, "lightning_tutorial"),
    EXAMPLES: script(HERE, "torch_examples"),
    FLOOR: script(HERE, "floor"),
    IMPORTS: import_lightning,
}
PER_IMAGE = {TUTORIAL, EXAMPLES}
PER_IMAGE_ROUNDS = 2  # they take half a minute each


def epoch(figures: Figures) -> float:
    """Return the seconds of a steady epoch, validation included."""
    return statistics.median(figures["epoch_seconds"][STEADY_FROM:])


def figure(name: str) -> Callable[[Figures], float]:
    """Return what takes one value of the figures."""
    return lambda figures: figures[name]


WHOLE, STARTUP, MEMORY = figure("whole_seconds"), figure("first_step_seconds"), figure("peak_mb")


@dataclass(frozen=True)
class Target:
    """A ratio of this project to the lowest of some peers in the same round."""

    what: str
    figure: Callable[[Figures], float]
    peers: Sequence[str]
    target: float

    def ratio(self, rounds: list[Round]) -> float:
        """Return the median over the rounds that have all of it."""
        complete = [one for one in rounds if all(peer in one for peer in self.peers)]
        lowest = [min(self.figure(one[peer]) for peer in self.peers) for one in complete]
        return statistics.median(self.figure(one[US]) / least for one, least in zip(complete, lowest, strict=True))


TARGETS = (
    Target("steady epoch / bare loop", epoch, [BARE], 0.85),
    Target("steady epoch / JAX scan", epoch, [SCAN], 1.0),
    Target("steady epoch / the best tuned Keras", epoch, TUNED, 0.85),
    Target("steady epoch / Keras as in the notebook", epoch, [NOTEBOOK], 0.45),
    Target("steady epoch / tutorial Lightning", epoch, [TUTORIAL], 0.18),
    Target("whole command / Keras script as in the notebook", WHOLE, [NOTEBOOK], 0.5),
    # the per-image peers are far behind and not in every round
    Target("whole command / the fastest peer but the bare loop", WHOLE, [NOTEBOOK, *TUNED, SCAN], 0.9),
    Target("whole command / bare PyTorch script", WHOLE, [BARE], 1.15),
    Target("start-up / importing LightningCLI", STARTUP, [IMPORTS], 0.75),
    Target("peak memory / bare PyTorch script", MEMORY, [BARE], 0.9),
)


def of(rounds: list[Round], name: str, take: Callable[[Figures], Any]) -> list[Any]:
    """Return one figure of every run of a peer."""
    return [take(one[name]) for one in rounds if name in one]


def check(name: str, figures: Figures) -> Figures:
    """Return the figures of a peer's run if it did the work of the recipe.

    Raises:
        SystemExit: If it trained another number of epochs, or its val/acc is not the recipe's.
    """
    if name != IMPORTS and len(figures["epoch_seconds"]) != EPOCHS:
        raise SystemExit(f"{name}: {len(figures['epoch_seconds'])} epochs instead of {EPOCHS}.")
    if name not in (FLOOR, IMPORTS) and not VAL_ACC[0] <= figures["val/acc"] <= VAL_ACC[1]:
        raise SystemExit(f"{name}: val/acc {figures['val/acc']} is not the recipe's, {VAL_ACC}: it does other work.")
    return figures


def measure(repeats: int) -> list[Round]:
    """Run all in turn, once to warm up and then ``repeats`` times; the per-image ones only in the first rounds."""
    rounds: list[Round] = []
    for number in range(repeats + 1):
        done: Round = {}
        for name, job in RUNS.items():
            if name not in PER_IMAGE or 0 < number <= PER_IMAGE_ROUNDS:
                done[name] = check(name, job())
                print(f"round {number} of {repeats}: {name}: {json.dumps(done[name])}", flush=True)
        if number:
            rounds.append(done)
    return rounds


def peers_table(rounds: list[Round]) -> str:
    """Return the table with a row for every peer."""
    rows = ["| medians | steady epoch | start-up | ten epochs | peak memory | `val/acc` | runs |", "|---" * 7 + "|"]
    for name in RUNS:
        if name == IMPORTS:
            continue
        steady, startup, whole, memory = (
            statistics.median(of(rounds, name, take)) for take in (epoch, STARTUP, WHOLE, MEMORY)
        )
        runs = len(of(rounds, name, epoch))
        if name == FLOOR:
            rows.append(f"| {name} | {steady:.2f} s | | | | | {runs} |")
            continue
        accuracy = statistics.median(of(rounds, name, figure("val/acc")))
        shown = f"**{name}**" if name in OURS else name
        cells = (f"{steady:.2f} s", f"{startup:.1f} s", f"{whole:.1f} s", f"{memory:.0f} MB", f"{accuracy:.4f}", runs)
        rows.append(f"| {shown} | {' | '.join(map(str, cells))} |")
    return "\n".join(rows)


def mark(value: float, target: float) -> str:
    """Return how the tables say whether a target was reached."""
    return "met" if value <= target else "**missed**"


def targets_table(rounds: list[Round]) -> str:
    """Return the table of the ratios."""
    rows = ["| this project without pictures / peer | ratio | target | |", "|---|---|---|---|"]
    for target in TARGETS:
        ratio = target.ratio(rounds)
        rows.append(f"| {target.what} | {ratio:.2f} | {target.target:.2f} | {mark(ratio, target.target)} |")
    pictures = statistics.median(WHOLE(one[WITH_PICTURES]) - WHOLE(one[US]) for one in rounds)
    cells = f"{pictures:.2f} | {PICTURES_SECONDS:.2f} | {mark(pictures, PICTURES_SECONDS)}"
    rows.append(f"| the pictures' seconds in the whole command | {cells} |")
    return "\n".join(rows)


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the documents' tables and where they were made."""
    parts = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    place = f"{results['machine']['cores']} cores ({results['machine']['cpu']}), {parts}."
    return {"peers": f"{peers_table(results['rounds'])}\n\n{place}", "speed": targets_table(results["rounds"])}


def main() -> None:
    """Measure, or only make the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only write the documents' tables from recorded results")
    parser.add_argument("--repeats", type=int, default=5, help="rounds after the one that warms up")
    flags = parser.parse_args()
    if not flags.table:
        content = {"machine": machine(), "versions": versions(peers=True), "rounds": measure(flags.repeats)}
        RESULTS.write_text(json.dumps(content, indent=1) + "\n")
    write_tables(tables(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
