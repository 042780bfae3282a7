"""A reader is given inputs, one after the other, in a process of its own that is forked from one that is warm."""

import base64
import json
import os
import pickle
import shutil
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, example, given, seed, settings

from benchmarks.fuzz.commands import try_checkpoints, try_configs
from benchmarks.fuzz.files import try_compressed_pairs, try_idx_files, try_notes, try_pictures
from benchmarks.fuzz.limits import LONGEST_SENTENCE, largest
from benchmarks.fuzz.names import try_names
from benchmarks.fuzz.studies import try_databases
from tests.faults.pickles import MARK

CURRENT = Path("current")  # in the working folder: the file that is being tried, should the process crash
READERS = {
    "IDX file": try_idx_files,
    "config": try_configs,
    "checkpoint": try_checkpoints,
    "note": try_notes,
    "picture": try_pictures,
    "pair of compressed IDX files": try_compressed_pairs,
    "set of names": try_names,
    "database of a study": try_databases,
}


def study(reader: str, inputs: int, number: int) -> dict[str, Any]:
    """Try a reader in the working folder, which must be empty.

    Args:
        reader: Which of ``READERS``.
        inputs: How many files.
        number: Which ones.

    Returns:
        How many files there were, what came of them, and for each failure the file and the traceback.
    """
    Path("data").mkdir()
    strategy, sound, check = READERS[reader](Path("data").absolute())
    outcomes: Counter[str] = Counter()
    failures = []

    @seed(number)
    @settings(
        max_examples=inputs,
        phases=[Phase.explicit, Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    @example(sound)
    def try_one(case: Any) -> None:
        CURRENT.write_bytes(pickle.dumps(case))
        try:
            outcomes[check(case)] += 1
        except Exception:
            failures.append(failure(traceback.format_exc(), CURRENT))
            shutil.rmtree(MARK, ignore_errors=True)

    largest.update(seconds=0.0, megabytes=0.0)
    try_one()
    return {
        "seed": number,
        "inputs": outcomes.total() + len(failures),
        "most": {name: round(value, 2) for name, value in largest.items()},
        **dict(sorted(outcomes.items())),
        "failures": failures,
    }


def failure(what: str, current: Path) -> dict[str, str]:
    """Describe what went wrong, with the file as base64 of its pickle."""
    return {"what": what[-LONGEST_SENTENCE:], "file": base64.b64encode(current.read_bytes()).decode()}


def study_apart(reader: str, inputs: int, number: int, folder: Path) -> int:
    """Try a reader in a new folder and write ``result.json`` there."""
    folder.mkdir()
    os.chdir(folder)
    Path("result.json").write_text(json.dumps(study(reader, inputs, number)))
    return 0
