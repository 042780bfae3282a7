"""What the README says is true: its commands run as written, its tables are the recorded results."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from benchmarks import accuracy, chaos, data, devices, digits, fuzz, parity, serve, speed, sweep
from benchmarks.readme import replace_table
from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
BY_CI = {"make test", "make lint"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, mnist: Path) -> Path:
    """The files that git tracks, times of change included, with this environment and the placed data."""
    folder = tmp_path_factory.mktemp("clone")
    names = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for name in names.splitlines():
        if (REPOSITORY / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "data").symlink_to(mnist)
    return folder


def run(command: str, folder: Path) -> None:
    if command == "make tensorboard":
        look_at_tensorboard(folder)
        return
    done = subprocess.run(["bash", "-ec", command], cwd=folder, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, ""), f"{command}\n{done.stderr}"


def look_at_tensorboard(folder: Path) -> None:
    server = subprocess.Popen(
        ["make", "tensorboard"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        for _ in range(240):
            try:
                with urllib.request.urlopen("http://localhost:6006/data/runs", timeout=5) as answer:
                    if json.load(answer) == ["version_0"]:
                        return
            except OSError:
                assert server.poll() is None, server.stderr.read()
            time.sleep(0.25)
        pytest.fail("TensorBoard did not show the run within a minute")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
        server.stderr.close()


@contextmanager
def serving_as_written(command: str, folder: Path) -> Iterator[None]:
    server = subprocess.Popen(["bash", "-ec", command], cwd=folder, stderr=subprocess.PIPE, start_new_session=True)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen("http://127.0.0.1:8000/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, server.stderr.read()
            time.sleep(0.25)
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        assert server.communicate()[1] == b""


def test_every_command_runs_as_written(clone: Path) -> None:
    commands = [command for block in BLOCKS for command in block.splitlines() if command not in BY_CI]
    assert commands[:2] == ["make train", "make tensorboard"]
    environment = ""
    with ExitStack() as servers:
        for command in commands:
            if command.startswith("source "):
                environment = f"{command}; "
            elif " src.cli serve " in command:  # the commands after it talk to it
                servers.enter_context(serving_as_written(environment + command, clone))
            else:
                run(command if command.startswith("make ") else environment + command, clone)


def test_every_python_example_runs_as_written(clone: Path) -> None:
    assert EXAMPLES
    for example in EXAMPLES:
        python = clone / ".venv" / "bin" / "python"
        done = subprocess.run([python, "-c", example], cwd=clone, capture_output=True, text=True, timeout=300)
        assert (done.returncode, done.stderr) == (0, ""), f"{example}\n{done.stderr}"
        assert "['7', '2', '1', '0', '4']" in done.stdout


def test_ci_runs_the_other_commands() -> None:
    assert f"make {' '.join(sorted(command.removeprefix('make ') for command in BY_CI))}" in (
        (REPOSITORY / ".ci" / "run").read_text()
    )


def test_the_shown_epochs_are_a_real_log(clone: Path) -> None:
    shown = re.findall(r"^Epoch (\d+)/10 - [\d.]+s - (loss: .*)$", README, re.MULTILINE)
    epochs = json.loads((clone / "lightning_logs" / "version_0" / "result.json").read_text())["epochs"]

    assert len(shown) == 3
    for number, metrics in shown:
        figures = [float(figure) for figure in re.findall(r"\d\.\d+", metrics)]
        epoch = epochs[int(number) - 1]
        names = ("train/loss", "train/acc", "val/loss", "val/acc")
        # other processors sum in another order
        assert figures == pytest.approx([epoch[name] for name in names], abs=0.01)


def test_the_parity_table_is_made_from_the_recorded_results() -> None:
    results = json.loads((parity.RESULTS / "parity.json").read_text())

    assert replace_table("parity", parity.table(results), README) == README


def test_the_accuracy_table_is_made_from_the_recorded_results() -> None:
    recipes = json.loads(accuracy.RESULTS.read_text())["recipes"]

    assert replace_table("accuracy", accuracy.table(recipes), README) == README


@pytest.mark.parametrize(
    ("one", "other", "chance"),
    [([], [], 1.0), ([1, 2], [1, 2], 1.0), ([1, 2, 3], [3], 0.5), ([0, *range(2, 11)], [1], 2 * 12 / 2**11)],
)
def test_mcnemar_counts_what_only_one_of_two_reads_wrong(one: list[int], other: list[int], chance: float) -> None:
    assert accuracy.mcnemar(one, other) == accuracy.mcnemar(other, one) == pytest.approx(chance)


def test_the_digits_table_is_made_from_the_recorded_results() -> None:
    results = json.loads(digits.RESULTS.read_text())

    assert replace_table("digits", digits.table(results), README) == README


def test_the_data_table_is_made_from_the_recorded_results() -> None:
    results = json.loads(data.RESULTS.read_text())

    assert replace_table("data", data.table(results), README) == README


def test_the_serve_table_is_made_from_the_recorded_results() -> None:
    results = json.loads(serve.RESULTS.read_text())

    assert replace_table("serve", serve.table(results), README) == README


def test_the_speed_tables_are_made_from_the_recorded_results() -> None:
    results = json.loads(speed.RESULTS.read_text())

    assert replace_table("speed", speed.table(results), README) == README


def test_the_tables_about_devices_are_made_from_the_recorded_results() -> None:
    results = json.loads(devices.RESULTS.read_text())

    assert replace_table("devices", devices.table(results), README) == README


def test_the_sweep_table_is_made_from_the_recorded_results() -> None:
    results = json.loads(sweep.RESULTS.read_text())

    assert replace_table("sweep", sweep.table(results), README) == README


def test_the_chaos_table_is_made_from_the_recorded_results() -> None:
    results = json.loads(chaos.RESULTS.read_text())

    assert replace_table("chaos", chaos.table(results), README) == README
    assert all(outcome == "equal" for calls in results.values() for counts in calls.values() for outcome in counts)


def test_the_fuzz_table_is_made_from_the_recorded_results() -> None:
    results = json.loads(fuzz.RESULTS.read_text())["readers"]

    assert replace_table("fuzz", fuzz.table(results), README) == README
    for reader, inputs in fuzz.INPUTS.items():
        assert results[reader]["inputs"] >= inputs
        assert results[reader]["failures"] == []


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", README):
        assert (REPOSITORY / target).exists(), target
