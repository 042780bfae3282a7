"""What the README says is true: its commands run as written, its errors are what is said, its log is a real one."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch

from benchmarks.documents import documents
from tests.conftest import REPOSITORY, Cli, run_process
from tests.shell import run_as_written

DOCUMENTS = {path.relative_to(REPOSITORY): path.read_text() for path in documents()}
READMES = [Path("README.md"), Path("README.zh-TW.md")]
README = DOCUMENTS[READMES[0]]
WALK = Path("docs/make_it_yours.md")  # which has a test of its own, as it changes the code
BY_CI = {"make test", "make lint"}
RUN: set[str] = set()


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENTS[path], re.DOTALL)


def run(command: str, folder: Path) -> None:
    if command == "make tensorboard":
        look_at_tensorboard(folder)
        return
    run_as_written(command, folder)


def look_at_tensorboard(folder: Path) -> None:
    server = subprocess.Popen(
        ["make", "tensorboard"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        for _ in range(240):
            try:
                with urllib.request.urlopen("http://localhost:6006/data/runs", timeout=5) as answer:
                    if "version_0" in json.load(answer):
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


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path != WALK], ids=str)
def test_every_command_and_example_runs_as_written(path: Path, clone: Path) -> None:
    """In the order of the documents: what the README does is there for the pages."""
    with ExitStack() as servers:
        for command in [line for block in blocks(path, "bash") for line in block.splitlines() if line not in BY_CI]:
            if command in RUN and " src.cli serve " not in command:  # it stands in another document too
                continue
            RUN.add(command)
            if " src.cli serve " in command:  # the commands after it talk to it
                servers.enter_context(serving_as_written(f"source .venv/bin/activate; {command}", clone))
            else:
                run(command, clone)
    for example in blocks(path, "python"):
        python = clone / ".venv" / "bin" / "python"
        done = subprocess.run([python, "-c", example], cwd=clone, capture_output=True, text=True, timeout=300)
        assert (done.returncode, done.stderr) == (0, ""), f"{example}\n{done.stderr}"
        assert "['7', '2', '1', '0', '4'" in done.stdout


@pytest.mark.parametrize("readme", READMES)
def test_the_first_two_commands_come_first(readme: Path) -> None:
    assert blocks(readme, "bash")[0].splitlines() == ["make train", "make tensorboard"]


MISTAKES = {
    "no run in lightning_logs has a best.ckpt": "test --ckpt_path best",
    "--epochs is not known; did you mean --trainer.max_epochs?": "fit --epochs 3",
    "Nothing left to train: 2 epochs are done": "fit --ckpt_path RUN --trainer.max_epochs 2",
    "--model.lr 0.01 differs from": "fit --ckpt_path RUN --trainer.max_epochs 3 --model.lr 0.01",
    "--model.hidden_units [512] differs from": "test --ckpt_path RUN --model.hidden_units [512]",
    "--data.batch_size 60,000 is larger than the training split": "fit --data.batch_size 60000",
    "--trainer.accelerator gpu: PyTorch finds no GPU here": "fit --trainer.accelerator gpu",
    "not a picture that Pillow reads": "predict --ckpt_path RUN --images README.md",
    "--images my.png: no such file or folder": "predict --ckpt_path RUN --images my.png",
    "the loss is no longer finite": "fit --model.lr 1e38 --trainer.max_epochs 1",
    "--trainer.gradient_clip_val 1.0 does not go with 24 steps per execution": "fit --model.steps_per_execution 24 "
    "--trainer.gradient_clip_val 1.0",
}


@pytest.mark.parametrize("sentence", MISTAKES)
@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU, asking for one is no mistake")
def test_the_explained_errors_are_what_is_said(sentence: str, cli: Cli, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    words = MISTAKES[sentence].replace("RUN", str(tmp_path / "run")).split()
    answer = run_process(*words) if words[0] == "predict" else cli(*words)

    assert f"| `{sentence}` |" in DOCUMENTS[READMES[1]]
    assert (answer.code == 0) == sentence.startswith("Nothing left")
    assert sentence in (answer.err or answer.out).replace(f"{tmp_path}/", "")


def test_every_explained_error_is_tried() -> None:
    explained = re.findall(r"^\| `(.*?)` \| .*[\u4e00-\u9fff].*。 \|$", DOCUMENTS[READMES[1]], re.MULTILINE)
    # these are said before anything is imported
    outside = {"has no Lightning", "No module named 'src'", "make: command not found"}
    assert set(explained) - outside == set(MISTAKES)


@pytest.mark.slow
def test_without_make_the_same_is_installed(tmp_path: Path) -> None:
    """The environment is made as written; installing takes minutes and a network, so that is compared with make's."""
    (written,) = {blocks(readme, "bat")[0] for readme in READMES}
    make, _, install, fit, look = written.splitlines()
    assert subprocess.run(make.split(), cwd=tmp_path).returncode == 0
    assert (tmp_path / ".venv" / "bin" / "activate").is_file()
    makefile = (
        (REPOSITORY / "Makefile").read_text().replace("'", '"').replace(" --quiet --disable-pip-version-check", "")
    )
    assert f"$(BIN)/{install}" in makefile
    assert f"$(BIN)/{fit}" in makefile
    assert f"$(BIN)/{look}" in makefile


def test_ci_runs_the_other_commands() -> None:
    assert f"make {' '.join(sorted(command.removeprefix('make ') for command in BY_CI))}" in (
        (REPOSITORY / ".ci" / "run").read_text()
    )


def test_the_shown_epochs_are_a_real_log(clone: Path) -> None:
    shown = re.findall(r"^Epoch (\d+)/10 - [\d.]+s - (loss: .*)$", README, re.MULTILINE)
    epochs = json.loads((clone / "lightning_logs" / "version_0" / "result.json").read_text())["epochs"]

    assert len(shown) == 4
    for number, metrics in shown:
        figures = [float(figure) for figure in re.findall(r"\d\.\d+", metrics)]
        epoch = epochs[int(number) - 1]
        names = ("train/loss", "train/acc", "val/loss", "val/acc")
        # other processors sum in another order
        assert figures == pytest.approx([epoch[name] for name in names], abs=0.01)
