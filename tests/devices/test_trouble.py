"""What goes wrong for one of several processes ends all of them, with one sentence."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from src.common.errors import UsageError
from src.launch.job import Job
from src.launch.launcher import Launch, refuse_more_than_there_are
from src.launch.store import wait_for
from tests.conftest import REPOSITORY, run_process
from tests.devices.conftest import Study
from tests.devices.jobs import fit

REFUSED = {
    "a wrong flag": "--model.width is not known",
    "a wrong flag on rank 2": "rank 2 (",
    "a wrong flag on rank 0": "--model.width is not known",
    "too many devices": "--trainer.devices 4 does not fit: the launcher started 3 processes",
    "too many machines": "--trainer.num_nodes 2 does not fit",
    "other data": "for train-labels-idx1-ubyte where rank 0 has",
    "no shared folder": "does not see the run folder lightning_logs/version_0: name a place",
    "no such checkpoint": "no such file or run folder",
    "what Lightning refuses": "--trainer.gradient_clip_algorithm",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_request_is_one_sentence_and_all_end(study: Study, name: str) -> None:
    first, *others = study("refusals")[name]

    assert [rank["code"] for rank in (first, *others)] == [2] * 3
    assert len(first["err"].strip().splitlines()) == 1
    assert REFUSED[name] in first["err"]
    assert [rank["err"] for rank in others] == [""] * 2


def test_it_leaves_no_run(study: Study) -> None:
    for name, ranks in study("refusals").items():
        made = [path for rank in ranks for path in rank["wrote"] if path.endswith("version_0/checkpoints")]
        assert not made, name


def test_a_signal_to_one_rank_ends_all_at_the_same_step(study: Study) -> None:
    stopped = study("resuming")["stopped"]
    first, second = stopped["ranks"]

    assert [first["code"], second["code"]] == [143, 143]
    assert first["err"].startswith("Stopped by SIGTERM. Go on with: python -m src.cli fit --config ")
    assert second["err"] == ""
    assert stopped["checkpoint"]["global_step"] == 19


def test_a_full_disk_ends_all(study: Study) -> None:
    first, *others = study("failures")["a full disk"]

    assert first["code"] == 1
    assert "could not be written: No space left on device" in first["err"]
    assert [(rank["code"], rank["err"]) for rank in others] == [(1, "")] * 2


def test_a_loss_that_is_no_number_on_one_rank_is_one_on_all(study: Study) -> None:
    ranks = study("failures")["no number"]

    assert [rank["code"] for rank in ranks] == [1] * 3
    assert "the loss is no longer finite: epoch 1, batch 11" in ranks[0]["err"]
    assert [rank["err"] for rank in ranks[1:]] == ["", ""]


def test_a_killed_process_ends_the_others(study: Study) -> None:
    first, killed, third = study("failures")["a killed process"]

    assert (first["code"], killed["code"], third["code"]) == (1, -9, 1)
    assert first["err"].startswith("error: another process of this job has ended")
    assert len(first["err"].strip().splitlines()) == 1
    assert third["err"] == ""


def test_sigterm_ends_an_evaluation(study: Study) -> None:
    first, second = study("ended_evaluation")["ranks"]

    assert (first["code"], second["code"]) == (1, -15)
    assert first["err"].startswith("error: another process of this job has ended")


def test_the_data_is_placed_once(study: Study) -> None:
    lines = [line for out in study("placing")["out"] for line in out.splitlines() if line.startswith("fetched")]

    assert len(lines) == 1


def trainer(**asked: Any) -> Any:
    return SimpleNamespace(**{"devices": "auto", "num_nodes": 1, "accelerator": "auto", "plugins": None, **asked})


@pytest.mark.parametrize("devices", [5, "5", "0,1,2,3,4", [0, 1, 2, 3, 4]])
def test_more_gpus_than_there_are(monkeypatch: pytest.MonkeyPatch, devices: Any) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)

    with pytest.raises(UsageError, match=r"--trainer\.devices .*: this machine shows 4 GPU"):
        Launch().placement(trainer(devices=devices))
    assert Launch().placement(trainer(devices=4)) == Launch().placement(trainer(devices=5, accelerator="cpu")) == {}


def test_more_processes_than_anybody_wants() -> None:
    with pytest.raises(UsageError, match=r"--trainer\.devices 100000: .* ask for at most"):
        refuse_more_than_there_are(100_000, "cpu", "--trainer.devices 100000")


def test_several_machines_need_a_launcher() -> None:
    with pytest.raises(UsageError, match=r"--trainer\.num_nodes 2 needs a launcher .* torchrun --nnodes=2"):
        Launch().placement(trainer(num_nodes=2))


@pytest.mark.parametrize("seconds", ["soon", "", "1.5", "-1"])
def test_a_wait_that_is_no_number(seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_WAIT_SECONDS", seconds)

    with pytest.raises(UsageError, match=rf"^MNIST_WAIT_SECONDS is {seconds}: give a whole number of seconds\.$"):
        wait_for(lambda: "")


def test_uneven_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    launched = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 3, "LOCAL_WORLD_SIZE": 2, "GROUP_WORLD_SIZE": 2}
    for name, value in {**launched, "TORCHELASTIC_RUN_ID": "none"}.items():
        monkeypatch.setenv(name, str(value))

    with pytest.raises(UsageError, match="start the same number on each"):
        Launch().placement(trainer())


@pytest.mark.parametrize(
    ("trouble", "seconds", "sentence"),
    [
        ("time.sleep(600)", "2", "error: rank 1 has not come within 2 s: see its output, or wait longer with MNIST_"),
        (
            "os.kill(os.getpid(), 9)",
            "60",
            "error: rank 1 has ended (exit code -9): see its output, or free some memory.",
        ),
    ],
)
def test_a_process_that_we_start_and_that_never_comes(
    tmp_path: Path, digits: Path, trouble: str, seconds: str, sentence: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import os, time\nif os.environ.get('LOCAL_RANK') == '1': {trouble}\n")
    path = os.pathsep.join((str(tmp_path), str(REPOSITORY)))
    words = fit(tmp_path, digits, "--trainer.devices", "2")
    answer = run_process(*words, PYTHONPATH=path, MNIST_WAIT_SECONDS=seconds)

    assert answer.code == 1
    assert answer.err.startswith(sentence)
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "lightning_logs").exists()


@pytest.mark.parametrize("content", ["[]", '{"command": ', "[" * 100_000])
def test_a_damaged_note_of_an_old_run_ends_nothing(
    own_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    (own_run / "job.json").write_text(content)

    assert Job(["fit"]).run_made(own_run.parents[1]) is None
    assert capsys.readouterr().err == (
        f"warning: {own_run}/job.json is damaged: if this job made that run, resume it with --ckpt_path {own_run}.\n"
    )
