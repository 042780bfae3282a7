"""Lightning's own launcher, and torchrun on one machine and on two; and what becomes of a killed process."""

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.restarts import words_to_kill
from src.common.errors import UsageError
from src.launch.job import Job, note_of
from src.runs.folder import Run
from tests.conftest import REPOSITORY, run_process
from tests.devices.jobs import STEPS, TORCHRUN, assert_only_new_run_is, end, fit, start
from tests.devices.study import QUIET
from tests.faults.processes import free_port
from tests.training import checkpoint, run_folder


def test_evaluation_on_two_devices(undisturbed: Path) -> None:
    words = ["test", "--ckpt_path", str(undisturbed), "--trainer.accelerator", "cpu", "--trainer.devices", "2"]
    answer = run_process(*words, "--inspection.enabled", "false")

    assert (answer.code, answer.err) == (0, "")
    assert json.loads((undisturbed / "test.json").read_text())["devices"] == 2
    assert answer.out.count("of 70 right") == 1


def test_torchrun_restarts_a_killed_process_and_the_run_is_the_undisturbed_one(
    root: Path, undisturbed: Path, digits: Path
) -> None:
    choice = random.SystemRandom()
    # the first before there is a checkpoint
    moments = ((choice.randrange(4), choice.randrange(2)), (choice.randrange(5, STEPS), choice.randrange(2)))
    command = [*TORCHRUN, "--standalone", "--nproc-per-node=2", "--max-restarts=3", "-m", "src.cli"]
    code, out, err = end(start([*command, *fit(root, digits), *words_to_kill(root / "kills", *moments)]))

    assert code == 0, f"{moments}\n{out}\n{err}"
    assert sorted(path.name for path in (root / "kills").iterdir()) == ["0", "1"]
    assert_only_new_run_is(root, undisturbed, f"{moments}\n{out}\n{err}")


def test_two_machines_restart_together(root: Path, undisturbed: Path, digits: Path) -> None:
    moment = (random.SystemRandom().randrange(5, STEPS), random.SystemRandom().randrange(2))
    place = ["--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{free_port()}"]
    command = [*TORCHRUN, "--nnodes=2", "--nproc-per-node=1", *place, "--max-restarts=2", "-m", "src.cli"]
    command += [*fit(root, digits), *words_to_kill(root / "kills", moment)]
    agents = [end(agent) for agent in [start(command), start(command)]]

    assert [code for code, _, _ in agents] == [0, 0], f"{moment}\n{agents}"
    assert (root / "kills" / "0").exists()
    assert_only_new_run_is(root, undisturbed, f"{moment}\n{agents}")


def test_torchrun_tells_a_wrong_request_once(tmp_path: Path, digits: Path) -> None:
    command = [*TORCHRUN, "--standalone", "--nproc-per-node=2", "-m", "src.cli"]
    code, _, err = end(start([*command, *fit(tmp_path, digits, "--trainer.devices", "4")]))

    assert code == 1  # torchrun's own
    assert err.count("error: --trainer.devices 4 does not fit: the launcher started 2 processes") == 1
    assert err.count("exitcode  : 2 ") == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "restarts", "goes_on"),
    [(["fit"], "1", True), (["fit", "--seed_everything", "1"], "1", False), (["fit"], "0", False)],
    ids=["requeued", "another command of the job", "the same command twice"],
)
def test_a_requeued_job_of_slurm_goes_on_with_the_run_of_its_command(
    words: list[str], restarts: str, goes_on: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    Job(["fit"]).note(Run.create(tmp_path))
    monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)

    job = Job(words)
    assert (job.run_made(tmp_path) is not None) == goes_on
    run = job.open_run(tmp_path, "lightning_logs")
    assert run.path.name == ("version_0" if goes_on else "version_1")
    with pytest.raises(UsageError, match="is being trained by another process"):
        Run(run.path).lock()


def test_where_the_system_does_not_name_the_parent_no_run_is_taken_for_this_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setattr(os, "getppid", lambda: 2**22 + 1)  # no process has this number
    run = Run.create(tmp_path)
    Job(["fit"]).note(run)

    assert note_of(run.path) == ""
    assert Job(["fit"]).run_made(tmp_path) is None


def test_the_slurm_script_asks_for_what_it_relies_on() -> None:
    script = (REPOSITORY / "scripts" / "slurm.sbatch").read_text()
    options = dict(line.removeprefix("#SBATCH --").split("=", 1) for line in script.splitlines()
                   if line.startswith("#SBATCH --") and "=" in line)  # fmt: skip

    assert options["signal"].startswith("B:USR1@")
    assert options["open-mode"] == "append"
    assert options["ntasks-per-node"] == options["gpus-per-node"]
    assert "#SBATCH --requeue\n" in script


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
needs_gpus = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two NVIDIA GPUs")


def accuracy(root: Path) -> Any:
    return json.loads((run_folder(root) / "result.json").read_text())["epochs"][-1]["train/acc"]


@needs_gpu
def test_one_gpu_learns(tmp_path: Path, digits: Path) -> None:
    words = [word for word in fit(tmp_path, digits, "--trainer.devices", "1") if word not in QUIET[:2]]
    answer = run_process(*words, "--trainer.accelerator", "gpu")

    assert (answer.code, answer.err) == (0, "")
    assert accuracy(tmp_path) > 0.3


@needs_gpu
def test_one_process_of_many_on_a_gpu_has_nothing_to_say(tmp_path: Path, digits: Path) -> None:
    words = [word for word in fit(tmp_path, digits, "--trainer.devices", "1") if word not in QUIET[:2]]
    answer = run_process(*words, "--trainer.accelerator", "gpu", "--config", "configs/ddp.yaml")

    assert (answer.code, answer.err) == (0, "")


@needs_gpus
def test_two_gpus_compute_what_one_does(tmp_path: Path, digits: Path) -> None:
    for devices in ("1", "2"):
        root = tmp_path / devices
        words = [word for word in fit(root, digits, "--trainer.precision", "64-true") if word not in QUIET[:2]]
        answer = run_process(*words, "--trainer.accelerator", "gpu", "--trainer.devices", devices)
        assert (answer.code, answer.err) == (0, "")
    one, two = (checkpoint(run_folder(tmp_path / devices))["state_dict"] for devices in ("1", "2"))

    for name, value in one.items():
        assert (two[name] - value).abs().max() < 1e-9
