"""Bad requests to ``python -m src.cli`` as a user starts it."""

import subprocess
import sys
from pathlib import Path

import pytest

from src.data.checks import TRAIN_LABELS
from tests.conftest import REPOSITORY, run_process
from tests.faults.folders import no_labels, not_utf8
from tests.refusals.requests import FIT, Request, check, files

pytestmark = pytest.mark.slow

REQUESTS = {
    "no subcommand": Request("", ("name a command: fit,", "predict", "data")),
    "unknown flag": Request(f"{FIT} --model.hiden_units [3]", ("--model.hiden_units", "--model.hidden_units?")),
    "a config of another encoding": Request(f"{FIT} --config bad.yaml", ("--config bad.yaml", "UTF-8"), not_utf8),
    "a missing file": Request(FIT, (f"digits/{TRAIN_LABELS} is missing",), no_labels),
    "no run yet": Request("test --ckpt_path best", ("--ckpt_path best", "train one first")),
}


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.usefixtures("own_digits")
def test_a_bad_request_gets_one_sentence_and_writes_nothing(name: str, tmp_path: Path) -> None:
    REQUESTS[name].prepare(tmp_path)
    before = files(tmp_path)

    check(run_process(*REQUESTS[name].words.split(), cwd=tmp_path), REQUESTS[name])
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "way_out"),
    [(("src/cli", "fit"), "python -m src.cli"), (("-S", "-m", "src.cli", "fit"), "source .venv/bin/activate")],
)
def test_a_wrong_start_is_told_how_to_start(words: tuple[str, ...], way_out: str) -> None:
    answer = subprocess.run([sys.executable, *words], cwd=REPOSITORY, capture_output=True, text=True)  # -S: no packages

    assert answer.returncode == 2
    assert answer.stderr.startswith("error: ") and way_out in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_the_traceback_of_a_refusal_is_shown_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_TRACEBACK", "1")
    answer = run_process(*FIT.split(), "--model.lr", "0")

    assert answer.code == 2
    assert "Traceback (most recent call last)" in answer.err
    assert answer.err.strip().splitlines()[-1].startswith("error: --model.lr must be")
