"""What do PyTorch's threads gain alone, and what do they cost beside another training on the same cores?

``python -m benchmarks.threads`` (some minutes) writes ``benchmarks/results/threads.json`` and the documents'
table; ``--table`` writes the table alone, from the recorded results.
"""

import argparse
import json
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.documents import write_tables
from benchmarks.processes import MAIN_JOB, machine, run_fit, versions

RESULTS = Path(__file__).parent / "results" / "threads.json"
WAYS: dict[str, dict[str, str]] = {
    "a thread for each core, spinning": {"GOMP_SPINCOUNT": "300000"},  # as PyTorch's do where nobody says otherwise
    "as the command line starts": {},
    "`OMP_NUM_THREADS=1`": {"OMP_NUM_THREADS": "1"},
}
AT_ONCE = (1, 2)
WORDS = ["--inspection.enabled", "false", "--trainer.max_epochs", "5"]


def epochs(environment: dict[str, str], processes: int) -> list[float]:
    """Run trainings at once and return the median seconds of an epoch of each, the first two left out."""
    with ThreadPoolExecutor(processes) as pool:
        jobs = [pool.submit(run_fit, MAIN_JOB, *WORDS, environment=environment) for _ in range(processes)]
        return [statistics.median(job.result()["epoch_seconds"][2:]) for job in jobs]


def measure(repeats: int) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of an epoch of every way, in turn, by how many trainings there were at once."""
    seconds: dict[str, dict[str, list[float]]] = {name: {str(count): [] for count in AT_ONCE} for name in WAYS}
    for _ in range(repeats):
        for name, environment in WAYS.items():
            for count in AT_ONCE:
                seconds[name][str(count)] += epochs(environment, count)
        print(json.dumps(seconds), flush=True)
    return seconds


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the documents' table and where it was made."""
    rows = ["| a steady epoch, medians | alone | each of two at once |", "|---|---|---|"]
    for name, seconds in results["seconds"].items():
        rows.append(
            f"| {name} | {' | '.join(f'{statistics.median(seconds[str(count)]):.2f} s' for count in AT_ONCE)} |"
        )
    here, torch = results["machine"], results["versions"]["torch"]
    return {"threads": "\n".join([*rows, "", f"{here['cores']} cores ({here['cpu']}), torch {torch}."])}


def main() -> None:
    """Measure, or only write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only write the documents' table from recorded results")
    if not parser.parse_args().table:
        content = {"machine": machine(), "versions": versions(peers=False), "seconds": measure(3)}
        RESULTS.write_text(json.dumps(content, indent=1) + "\n")
    write_tables(tables(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
