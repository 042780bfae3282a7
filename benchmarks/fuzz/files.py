"""The readers of a file that are called as functions: IDX files, plain and compressed, notes and pictures.

Each ``try_`` returns the inputs, a sound one, and what to do with one. It makes what it needs in the working folder.
"""

import contextlib
import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from benchmarks.fuzz.limits import outcome
from src.common.errors import UsageError
from src.common.files import read_note, read_object
from src.common.pictures import PictureError
from src.data.checks import read_record
from src.digits.number import read_number
from src.launch.job import Job
from src.runs.folder import Run
from tests.faults.gzips import compressed_pairs, idx, read_compressed_pair
from tests.faults.idx import idx_files, read_idx_file
from tests.faults.notes import notes
from tests.faults.pictures import FILES, pictures

Inputs = tuple[st.SearchStrategy[Any], Any, Callable[[Any], str]]


def try_idx_files(_: Path) -> Inputs:
    """IDX files, mapped or not."""

    def check(case: tuple[str, bytes, bool]) -> str:
        name, content, memory_map = case
        Path(name).write_bytes(content)
        return outcome(lambda: read_idx_file(Path(name), memory_map))

    return idx_files, ("sound", bytes([0, 0, 8, 1, 0, 0, 0, 2, 3, 4]), False), check


def try_compressed_pairs(_: Path) -> Inputs:
    """Compressed images and their labels."""
    sound = gzip.compress(idx((1, 28, 28), bytes(784))), gzip.compress(idx((1,), b"\7"))
    return compressed_pairs(), sound, lambda pair: outcome(lambda: read_compressed_pair(*pair))


def try_notes(_: Path) -> Inputs:
    """Notes of run folders and of data."""
    run = Run(Path("lightning_logs/version_0"))
    run.path.mkdir(parents=True)

    def read(content: bytes) -> None:
        for name in ("result.json", "trackers.json", "job.json", "SOURCE.json", "trial.json", "config.yaml"):
            (run.path / name).write_bytes(content)
        found = read_note(run.path / "result.json", epochs=list)
        read_note(run.path / "trackers.json")
        job = Job(["fit"])
        job.slurm, job.was_requeued = "a 1", True
        job.run_made(Path())
        read_record(run.path)
        _ = run.classes
        with contextlib.suppress(ValueError):  # as run_before passes over it
            read_object(run.path / "trial.json", token=str)
        if not found:
            assert (run.path / "result.json.damaged").read_bytes() == content
            raise UsageError("it is kept aside.")

    def check(content: bytes) -> str:
        with contextlib.redirect_stderr(io.StringIO()) as err:
            found = outcome(lambda: read(content))
        assert all(map(str.isprintable, err.getvalue().splitlines()))
        return found

    return notes, b'{"epochs": []}', check


def try_pictures(_: Path) -> Inputs:
    """Pictures of digits."""

    def read(content: bytes) -> None:
        try:
            read_number(io.BytesIO(content))
        except PictureError as error:
            raise UsageError(f"{error}.") from error

    return pictures, FILES[0], lambda content: outcome(lambda: read(content))
