"""Can a file make a reader fail otherwise than by one sentence? Hypothesis tries.

``python -m benchmarks.fuzz`` gives generated and damaged files to the readers of IDX files, configs, checkpoints,
notes of run folders and pictures, and uses the checkpoints that are accepted: training goes on from them, or they are
validated or tested. A file may be accepted, or refused in one sentence. Anything else is a failure and recorded with
the file: another exception, more than a few seconds or a gigabyte, a crash, code from the file that ran. It writes
``benchmarks/results/fuzz.json`` and the documents' table (about twenty minutes on two cores); the same seed does the
same damage.
"""

import argparse
import base64
import contextlib
import gzip
import io
import json
import os
import pickle
import resource
import shutil
import signal
import struct
import tempfile
import traceback
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from hypothesis import HealthCheck, Phase, example, given, seed, settings
from hypothesis import strategies as st

from benchmarks.chaos import fork
from benchmarks.documents import write_tables
from benchmarks.fuzz_inputs import FILES, MARK, checkpoints, configs, idx_files, notes, pictures
from src.cli.fit import CLI
from src.cli.main import main as cli
from src.cli.messages import explain
from src.common.errors import UsageError
from src.common.files import read_note
from src.common.pictures import PictureError
from src.data.checks import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, read_record
from src.data.idx import CHUNK_BYTES, read_idx, write_idx
from src.digits.number import read_number
from src.launch.job import Job
from src.launch.launcher import Launch
from src.launch.ranks import Ranks
from src.runs.checkpoint import Checkpoint
from src.runs.folder import Run

RESULTS = Path(__file__).parent / "results" / "fuzz.json"
INPUTS = {"IDX file": 100_000, "config": 20_000, "checkpoint": 10_000, "note": 5_000, "picture": 5_000}
SECONDS, BYTES = 10, 1 << 30  # of the processor and of memory, for one file
LONGEST_SENTENCE = 2_000
CURRENT = Path("current")  # in the working folder: the file that is being tried, should the process crash
SMALL = ["--data.val_size", "8", "--data.batch_size", "8"]


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """Stop what takes too long, by the processor's clock, and refuse it too much memory."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGPROF, stop)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + BYTES, hard))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, before)


def outcome(read: Callable[[], object]) -> str:
    """Read something: ``accepted``, ``refused`` in one sentence, or the exception that is neither."""
    try:
        with limits(), warnings.catch_warnings(action="ignore"):
            read()
    except MemoryError:  # a request may be too large for a machine, but no file of a few kilobytes is
        raise
    except Exception as error:
        told = explain(error)
        if told is None or told[1] != 2:
            raise
        check_sentence(told[0])
        return "refused"
    finally:
        assert not MARK.exists(), "code in the file ran"
    return "accepted"


def check_sentence(text: str) -> None:
    """Make sure that a message is one line for people."""
    assert text.isprintable(), text
    assert 0 < len(text) <= LONGEST_SENTENCE


def read_idx_file(path: Path, memory_map: bool) -> None:
    """Read an IDX file, which must hold what its header says, in no more memory than it has bytes."""
    tracemalloc.start()
    try:
        values = read_idx(path, memory_map)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * CHUNK_BYTES
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    start = 4 + 4 * content[3]
    assert content[:2] == bytes(2)
    assert values.shape == struct.unpack(f">{content[3]}I", content[4:start])
    assert values.flatten().numpy().astype(">u1" if content[2] == 8 else ">i4").tobytes() == content[start:]


class ConfigReader(CLI):
    """The command line up to the Trainer, which does not run; built once, as that takes longer than to read a config.

    Args:
        data: The words that name the images and the folder for the runs.
    """

    def __init__(self, data: list[str]) -> None:
        self.data = data
        launch = Launch()
        super().__init__(["fit", *data], launch, Ranks(launch))
        self.complete: dict[str, Any] = yaml.safe_load(self.parsers[0].dump(self.request))

    def fit(self, *_: Any, **__: Any) -> None:
        """Leave nothing behind instead of training."""
        assert self.run is not None
        self.run.discard()

    def read(self, config: bytes | str) -> None:
        """Read a config or a flag and make everything that it asks for."""
        if isinstance(config, bytes):
            Path("config.yaml").write_bytes(config)
        self.words = ["fit", *(["--config", "config.yaml"] if isinstance(config, bytes) else [config]), *self.data]
        self.run = None
        self.parse_arguments(self.parser, None)
        self.parsers[0].dump(self.request, skip_unset=False)
        self.instantiate_classes()
        if self.run is not None:
            self.fit()


def use(subcommand: str, data: list[str]) -> str:
    """Run a subcommand on the working folder's last checkpoint as a user does, and return what came of it."""
    out, err = io.StringIO(), io.StringIO()
    words = [subcommand, "--ckpt_path", "last", *data, "--inspection.enabled", "false"]
    if subcommand == "fit":
        words += ["--trainer.max_epochs", "3"]
    streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with streams[0], streams[1], limits(), warnings.catch_warnings(action="ignore"):
        code = cli(words)
    assert not MARK.exists(), "code in the file ran"
    lines = err.getvalue().splitlines()
    assert (code, lines) == (0, []) or (code in (1, 2) and len(lines) == 1), (code, lines)
    for line in lines:
        check_sentence(line)
    return "refused later" if code else "used"


Check = Callable[[Any], str]


def try_idx_files(_: Path) -> tuple[st.SearchStrategy[Any], Any, Check]:
    """Return the files for the reader of IDX files, a sound one, and what to do with one."""

    def check(case: tuple[str, bytes, bool]) -> str:
        name, content, memory_map = case
        Path(name).write_bytes(content)
        return outcome(lambda: read_idx_file(Path(name), memory_map))

    return idx_files, ("sound", bytes([0, 0, 8, 1, 0, 0, 0, 2, 3, 4]), False), check


def try_configs(data: Path) -> tuple[st.SearchStrategy[Any], Any, Check]:
    """Return the configs, a sound one, and what to do with one."""
    reader = ConfigReader([*small_data(data), *SMALL])
    return configs(reader.complete), b"model:\n  lr: 0.1\n", lambda config: outcome(lambda: reader.read(config))


def try_checkpoints(data: Path) -> tuple[st.SearchStrategy[Any], Any, Check]:
    """Return the checkpoints, each with the subcommand that takes it, a sound one, and what to do with one."""
    words = small_data(data)
    run = Run(Path("lightning_logs/version_0"))

    def check(case: tuple[bytes, str]) -> str:
        content, subcommand = case
        shutil.rmtree(run.path, ignore_errors=True)
        run.last.parent.mkdir(parents=True)
        run.last.write_bytes(content)
        found = outcome(lambda: Checkpoint.read(run.last))
        return use(subcommand, words) if found == "accepted" else found

    fresh = [*SMALL, "--model.hidden_units", "[4]", "--checkpoints.every_n_steps", "2", "--trainer.max_epochs", "2"]
    averaged = ["--ema_decay", "0.9", "--model.weight_decay", "0.1", "--model.cosine", "true"]
    for recipe in ([], ["--model.steps_per_execution", "2"], averaged):
        cli(["fit", *words, *fresh, *recipe])
    wholes = [path.read_bytes() for path in sorted(Path("lightning_logs").glob("*/checkpoints/*.ckpt"))]
    subcommands = st.sampled_from(["fit", "fit", "validate", "test"])
    return st.tuples(checkpoints(wholes), subcommands), (wholes[0], "validate"), check


def try_notes(_: Path) -> tuple[st.SearchStrategy[Any], Any, Check]:
    """Return the notes of run folders and data, a sound one, and what to do with one."""
    run = Run(Path("lightning_logs/version_0"))
    run.path.mkdir(parents=True)

    def read(content: bytes) -> None:
        for name in ("result.json", "trackers.json", "job.json", "SOURCE.json"):
            (run.path / name).write_bytes(content)
        found = read_note(run.path / "result.json", epochs=list)
        read_note(run.path / "trackers.json")
        job = Job(["fit"])
        job.slurm, job.was_requeued = "a 1", True
        job.run_made(Path())
        read_record(run.path)
        if not found:
            assert (run.path / "result.json.damaged").read_bytes() == content
            raise UsageError("it is kept aside.")

    def check(content: bytes) -> str:
        with contextlib.redirect_stderr(io.StringIO()):
            return outcome(lambda: read(content))

    return notes, b'{"epochs": []}', check


def try_pictures(_: Path) -> tuple[st.SearchStrategy[Any], Any, Check]:
    """Return pictures, a sound one, and what to do with one."""

    def read(content: bytes) -> None:
        try:
            read_number(io.BytesIO(content))
        except PictureError as error:
            raise UsageError(f"{error}.") from error

    return pictures, FILES[0], lambda content: outcome(lambda: read(content))


READERS = {
    "IDX file": try_idx_files,
    "config": try_configs,
    "checkpoint": try_checkpoints,
    "note": try_notes,
    "picture": try_pictures,
}


def small_data(folder: Path) -> list[str]:
    """Write a few images of noise and return the words that train on them."""
    generator = torch.Generator().manual_seed(0)
    for images, labels, size in ((TRAIN_IMAGES, TRAIN_LABELS, 40), (TEST_IMAGES, TEST_LABELS, 20)):
        write_idx(folder / images, torch.randint(0, 256, (size, 28, 28), generator=generator, dtype=torch.uint8))
        write_idx(folder / labels, torch.randint(0, 10, (size,), generator=generator, dtype=torch.uint8))
    quiet = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    return ["--data.data_dir", str(folder), "--trainer.default_root_dir", ".", *quiet]


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

    try_one()
    return {
        "seed": number,
        "inputs": outcomes.total() + len(failures),
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


def tables(content: dict[str, dict[str, dict[str, Any]]]) -> dict[str, str]:
    """Return the documents' table: how many files each reader got, and what came of them."""
    rows = ["| files | generated | accepted | refused in a sentence | anything else |", "|---|---|---|---|---|"]
    for reader, result in content["readers"].items():
        used, later = result.get("used", 0), result.get("refused later", 0)
        accepted = f"{result.get('accepted', 0) + used:,}" + (f", {used:,} of them used" if used else "")
        refused, failures = result.get("refused", 0) + later, len(result["failures"])
        rows.append(f"| {reader}s | {result['inputs']:,} | {accepted} | {refused:,} | {failures:,} |")
    return {"fuzz": "\n".join(rows)}


def main() -> None:
    """Run the study, or only make its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", nargs="+", default=list(READERS), choices=list(READERS), help="the others' stay")
    parser.add_argument("--table", action="store_true", help="only write the documents' table from recorded results")
    asked = parser.parse_args()
    if not asked.table:
        results = json.loads(RESULTS.read_text())["readers"] if RESULTS.exists() else {}
        with tempfile.TemporaryDirectory() as name:
            root, children = Path(name), {}
            for reader in asked.readers:
                work = partial(study_apart, reader, round(INPUTS[reader] * asked.share), asked.seed, root / reader)
                children[reader] = fork(work, root / f"{reader}.log")
            for reader, child in children.items():
                if code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
                    log = (root / f"{reader}.log").read_text()[-LONGEST_SENTENCE:]
                    crash = failure(f"exit code {code}: {log}", root / reader / CURRENT)
                    results[reader] = {"inputs": 0, "failures": [crash]}
                else:
                    results[reader] = json.loads((root / reader / "result.json").read_text())
                print(reader, {**results[reader], "failures": len(results[reader]["failures"])}, flush=True)
        RESULTS.write_text(json.dumps({"readers": results}, indent=1) + "\n")
    content = json.loads(RESULTS.read_text())
    write_tables(tables(content))
    if any(result["failures"] for result in content["readers"].values()):
        raise SystemExit(f"failures: see {RESULTS}")


if __name__ == "__main__":
    main()
