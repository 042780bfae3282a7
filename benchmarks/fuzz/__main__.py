"""Run the study, or only make its table."""

import argparse
import json
import os
import signal
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks import fuzz
from benchmarks.documents import write_tables
from benchmarks.fuzz.limits import LONGEST_SENTENCE
from benchmarks.fuzz.study import CURRENT, READERS, failure, study_apart
from tests.faults.processes import fork

STUCK_SECONDS = 600  # by the clock, on a machine that has other work too, for what no signal stops


def ended(child: int, current: Path) -> int:
    """Wait for a process and return its exit code; end it where a file takes it for ever."""
    while True:
        process, status = os.waitpid(child, os.WNOHANG)
        if process:
            return os.waitstatus_to_exitcode(status)
        if current.exists() and time.time() - current.stat().st_mtime > STUCK_SECONDS:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.5)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=fuzz.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", nargs="+", default=list(READERS), choices=list(READERS), help="the others' stay")
    parser.add_argument("--table", action="store_true", help="only write the documents' table from recorded results")
    request = parser.parse_args()
    if not request.table:
        results = json.loads(fuzz.RESULTS.read_text())["readers"] if fuzz.RESULTS.exists() else {}
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            for reader in request.readers:
                work = partial(
                    study_apart, reader, round(fuzz.INPUTS[reader] * request.share), request.seed, root / reader
                )
                if code := ended(fork(work, root / f"{reader}.log"), root / reader / CURRENT):
                    log = (root / f"{reader}.log").read_text()[-LONGEST_SENTENCE:]
                    crash = failure(f"exit code {code}: {log}", root / reader / CURRENT)
                    results[reader] = {"inputs": 0, "failures": [crash]}
                else:
                    results[reader] = json.loads((root / reader / "result.json").read_text())
                print(reader, {**results[reader], "failures": len(results[reader]["failures"])}, flush=True)
                fuzz.RESULTS.write_text(json.dumps({"readers": results}, indent=1) + "\n")
    content = json.loads(fuzz.RESULTS.read_text())
    write_tables(fuzz.tables(content))
    if any(result["failures"] for result in content["readers"].values()):
        raise SystemExit(f"failures: see {fuzz.RESULTS}")


if __name__ == "__main__":
    main()
