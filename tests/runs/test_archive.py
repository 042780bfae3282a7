"""What a file can do to the program that reads it, measured in a process of its own: time, memory, and what it says."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import run_process
from tests.faults.checkpoints import CHANGES, FILES, PICKLES, hostile

SECONDS = 60  # of the processor: none of the good ones takes a tenth of it
MEGABYTES = 100  # more than with a good checkpoint


@dataclass
class Usage:
    code: int
    err: str
    megabytes: float


def measure(*words: str) -> Usage:
    """Run a command with a limit of the processor's time, and return what it took."""
    code = f"""
import resource
import sys
from src.cli.main import main
resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
exit_code = main({words})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(exit_code)
"""
    answer = run_process("-c", code)
    return Usage(answer.code, answer.err, int((answer.out.split() or ["0"])[-1]) / 1024)


def read_with(run: Path, folder: Path) -> Usage:
    words = ["--ckpt_path", str(run), "--images", "images/digits/small.png", "--output", str(folder / "table.csv")]
    return measure("predict", *words)


@pytest.fixture(scope="module")
def good(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """The megabytes that it takes to read with a good checkpoint."""
    usage = read_with(trained, tmp_path_factory.mktemp("good"))
    assert (usage.code, usage.err) == (0, "")
    return usage.megabytes


@pytest.mark.parametrize("name", [*CHANGES, *PICKLES, *FILES])
def test_a_checkpoint_neither_hangs_the_program_nor_fills_its_memory(
    name: str, own_run: Path, good: float, tmp_path: Path
) -> None:
    path = own_run / "checkpoints" / "best.ckpt"
    path.write_bytes(hostile(name, path.read_bytes()))
    usage = read_with(own_run, tmp_path)

    assert usage.code == 2, usage.err
    assert usage.err.startswith(f"error: {path} ")
    assert len(usage.err.splitlines()) == 1
    assert usage.megabytes < good + MEGABYTES
    assert not (tmp_path / "table.csv").exists()


def test_a_bad_best_checkpoint_does_not_harm_a_training_that_goes_on_from_the_last(
    own_run: Path, digits: Path, tmp_path: Path
) -> None:
    words = ["--ckpt_path", str(own_run), "--trainer.default_root_dir", str(tmp_path), "--inspection.enabled", "false"]
    usual = measure("fit", *words, "--trainer.max_epochs", "3")
    best = own_run / "checkpoints" / "best.ckpt"
    content = hostile("an array of 2 GB", best.read_bytes())
    best.unlink()  # last.ckpt may be another name for it
    best.write_bytes(content)
    usage = measure("fit", *words, "--trainer.max_epochs", "4")

    assert (usual.code, usage.code, usage.err) == (0, 0, "")
    assert usage.megabytes < usual.megabytes + MEGABYTES
