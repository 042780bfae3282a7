"""A disk that is really full, or files that may not grow: one sentence, nothing lost, and the run goes on later."""

import errno
import json
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from tests.conftest import DRAWN, REPOSITORY, Answer, Cli, run_process
from tests.faults.calls import refusing
from tests.faults.disks import limit, words_to_limit
from tests.training import EPOCHS, checkpoint, curves, results, run_folder, same_training

# KiB of a disk -> what does not fit on it any more
FULL_AT = {4: "/events.out.tfevents", 8: "/hparams.yaml", 12: "/last.ckpt", 100: "/best.ckpt", 152: "/best.ckpt"}


def fit(root: Path, digits: Path, *words: str, size: int = resource.RLIM_INFINITY) -> Answer:
    """Run ``fit`` as a user does, under a limit from the start."""
    data = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
    place = ["--trainer.default_root_dir", str(root), "--trainer.accelerator", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "src.cli", "fit", *place, *data, *EPOCHS, *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=lambda: limit(size),
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def check_nothing_is_half_written(run: Path) -> None:
    for path in run.rglob("*"):
        assert not path.name.endswith(".tmp")
        if path.suffix == ".ckpt":
            torch.load(path, weights_only=True)
        if path.suffix in (".json", ".yaml"):
            assert yaml.safe_load(path.read_text())


# what cannot be written -> when the limit comes, how many bytes it leaves, and further words
MOMENTS: dict[str, tuple[str, int, int, tuple[str, ...]]] = {
    "best.ckpt": ("on_train_epoch_start", 1, 100_000, ()),
    "last.ckpt": ("on_train_epoch_start", 2, 100_000, ("--checkpoints.every_n_steps", "4")),
    "events.out.tfevents": ("on_train_epoch_start", 1, 0, ()),
    "result.json": ("on_train_end", 3, 100, ("--trainer.logger", "false")),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_a_full_disk_during_training_loses_nothing(name: str, cli: Cli, tmp_path: Path, digits: Path) -> None:
    hook, epoch, size, words = MOMENTS[name]
    cli("fit", *EPOCHS, *DRAWN)
    answer = fit(tmp_path, digits, *words, *words_to_limit(hook, epoch, size))
    reference, run = run_folder(tmp_path), run_folder(tmp_path, 1)

    assert answer.code == 1
    assert answer.err.startswith(f"error: {run}/")
    assert name in answer.err
    assert answer.err.endswith(" could not be written: File too large; free some space.\n")
    assert answer.err.count("\n") == 1
    check_nothing_is_half_written(run)

    assert cli("fit", "--ckpt_path", "last", "--trainer.callbacks", "null").code == 0
    assert same_training(checkpoint(reference), checkpoint(run))
    assert results(reference) == results(run)
    if "--trainer.logger" not in words:
        untimed = [{**curves(each), "trainer/samples_per_second": []} for each in (reference, run)]
        assert untimed[0] == untimed[1]


def test_a_full_disk_at_the_start_leaves_no_broken_file(tmp_path: Path, digits: Path) -> None:
    answer = fit(tmp_path, digits, size=1_000)
    run = run_folder(tmp_path)

    assert answer.code == 1
    assert answer.err == f"error: {run}/config.yaml could not be written: File too large; free some space.\n"
    check_nothing_is_half_written(run)


def test_no_space_for_a_run_folder_is_a_failure_and_no_bad_request(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_folder(tmp_path)
    refusing(monkeypatch, "mkdir", folder, errno.ENOSPC)
    answer = cli("fit", *EPOCHS)

    assert answer.code == 1
    assert answer.err == f"error: {folder} could not be written: No space left on device; free some space.\n"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that is a disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a disk of its own takes the right to mount one")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_wherever_the_disk_becomes_full_the_run_goes_on_once_there_is_space(
    disk: Path, tmp_path: Path, digits: Path
) -> None:
    data = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
    words = ["fit", *data, "--model.hidden_units", "[4]", "--checkpoints.every_n_steps", "4", *EPOCHS]
    words += ["--trainer.accelerator", "cpu", "--inspection.enabled", "false", "--trainer.default_root_dir"]
    code = f"""
import json, subprocess
from pathlib import Path
from benchmarks.chaos import equal, outcome
from src.cli.main import main
from tests.faults.processes import in_child

def resize(kib):
    subprocess.run(["mount", "-o", f"remount,size={{kib}}k", "{disk}"], check=True)

words, root, log = {words}, Path("{tmp_path}/reference"), Path("{tmp_path}/said")
assert in_child(lambda: main([*words, str(root)]), log) == 0
reference = outcome(root)
for kib in {FULL_AT}:
    root, log = Path("{disk}/root"), Path(f"{tmp_path}/said{{kib}}")
    resize(kib)
    code = in_child(lambda: main([*words, str(root)]), log)
    halves = [str(path) for path in root.rglob("*.tmp")]
    resize(4_096)
    again = ["fit", "--ckpt_path", "last", *words[-1:]] if any(root.rglob("last.ckpt")) else words
    assert in_child(lambda: main([*again, str(root)]), log.with_suffix(".again")) == 0
    same = equal(reference, outcome(root))
    print("disk", json.dumps([code, log.read_text(), halves, same]))
    subprocess.run(["rm", "-r", root], check=True)
"""
    answer = run_process("-c", code)
    outcomes = [json.loads(line.removeprefix("disk ")) for line in answer.out.splitlines() if line.startswith("disk ")]

    assert answer.code == 0, answer
    for (code, said, halves, same), (kib, name) in zip(outcomes, FULL_AT.items(), strict=True):
        *rest, error = said.splitlines()
        assert (code, halves, same) == (1, [], True), f"{kib} KiB\n{said}"
        assert re.fullmatch(
            rf"error: .*{name}.* could not be written: No space left on device; free some space\.", error
        )
        assert "Traceback" not in said
        assert not any(line.startswith("error") for line in rest)
