"""Can a file make a reader fail otherwise than by one sentence? Hypothesis tries.

``python -m benchmarks.fuzz`` gives generated and damaged files, of ``tests/faults``, to what reads them, and uses the
checkpoints that are accepted: training goes on from them, or they are validated or tested. A file may be accepted, or
refused in one sentence. Anything else is a failure and recorded with the file: another exception, more than 5 seconds
or 500 MB, a crash, code from the file that ran, a printed line that does something to a terminal. It writes
``benchmarks/results/fuzz.json`` and the documents' table (about forty minutes of one core); the same seed does the
same damage.
"""

from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results" / "fuzz.json"
INPUTS = {
    "IDX file": 100_000,
    "config": 20_000,
    "checkpoint": 6_000,
    "note": 37_000,
    "picture": 40_000,
    "pair of compressed IDX files": 12_000,
    "set of names": 3_500,
    "database of a study": 1_500,
}


def tables(content: dict[str, dict[str, dict[str, Any]]]) -> dict[str, str]:
    """Return the documents' table: how many files each reader got, and what came of them."""
    rows = ["| files | generated | accepted | refused in a sentence | anything else |", "|---|---|---|---|---|"]
    for reader, result in content["readers"].items():
        used, later = result.get("used", 0), result.get("refused later", 0)
        accepted = f"{result.get('accepted', 0) + used:,}" + (f", {used:,} of them used" if used else "")
        refused, failures = result.get("refused", 0) + later, len(result["failures"])
        noun, of, rest = reader.partition(" of ")
        rows.append(f"| {noun}s{of}{rest} | {result['inputs']:,} | {accepted} | {refused:,} | {failures:,} |")
    return {"fuzz": "\n".join(rows)}
