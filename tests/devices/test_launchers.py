"""Lightning's own launcher, torchrun on one machine and on two, and SLURM; and what becomes of a killed process."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.processes import free_port
from benchmarks.restarts import words_to_kill
from tests.conftest import REPOSITORY, run_process
from tests.devices.scenarios import QUIET, SIZES
from tests.test_cli import checkpoint, results, run_folder, same_training

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
EPOCHS, STEPS = 4, 44
CONFIGS = ["--config", "configs/mlp.yaml", "--config", "configs/ddp.yaml", "--model.steps_per_execution", "1"]


def fit(root: Path, digits: Path, *words: str) -> list[str]:
    place = ["--trainer.default_root_dir", str(root), "--data.data_dir", str(digits)]
    length = ["--trainer.max_epochs", str(EPOCHS), "--checkpoints.every_n_steps", "4"]
    return ["fit", *CONFIGS, *place, *SIZES, *QUIET, *length, *words]


def start(command: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.terminate()
        out, err = process.communicate()
        pytest.fail(f"not ended after two minutes\n{out}\n{err}")
    return process.returncode, out, err


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """The run of two processes that Lightning started."""
    root = tmp_path_factory.mktemp("undisturbed")
    answer = run_process(*fit(root, digits, "--trainer.devices", "2"), OMP_NUM_THREADS="1")

    assert (answer.code, answer.err) == (0, "")
    assert "Device   2 x cpu" in answer.out
    assert answer.out.count("Epoch 1/4") == 1
    return run_folder(root)


@pytest.fixture
def root(tmp_path: Path, undisturbed: Path, digits: Path) -> Path:
    """A folder that has a run already: an older one, of a job that looks like the ones here."""
    old = Path(shutil.copytree(undisturbed, tmp_path / "lightning_logs" / "version_0"))
    note = {"command": "fit", "torchrun": "another 1 1", "slurm": "cluster 7", "since": 0}
    (old / "job.json").write_text(json.dumps(note))
    return tmp_path


def assert_only_new_run_is(root: Path, undisturbed: Path, what: str) -> None:
    assert sorted(path.name for path in (root / "lightning_logs").iterdir()) == ["version_0", "version_1"], what
    run = run_folder(root, 1)
    assert same_training(checkpoint(run), checkpoint(undisturbed)), what
    assert results(run) == results(undisturbed), what
    assert checkpoint(run)["global_step"] == STEPS


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


class Cluster:
    """A SLURM of one machine: runs the batch script as the same job again and again."""

    def __init__(self, root: Path, digits: Path) -> None:
        self.root, self.digits = root, digits
        self.log = root / "scontrol"
        self.starts = 0

    def start(self, *words: str) -> subprocess.Popen[str]:
        job = {
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NAME": "mnist",
            "SLURM_CLUSTER_NAME": "cluster",
            "SLURM_CPUS_PER_TASK": "1",
        }
        tasks = {
            "SLURM_NTASKS": "2",
            "SLURM_NTASKS_PER_NODE": "2",
            "SLURM_NNODES": "1",
            "MASTER_PORT": str(free_port()),
        }
        restart = {"SLURM_RESTART_COUNT": str(self.starts)} if self.starts else {}
        path = f"{Path(__file__).parent / 'bin'}:{os.environ['PATH']}"
        self.starts += 1
        script = ["bash", "scripts/slurm.sbatch", *fit(self.root, self.digits, *words)[1:]]
        return start(script, **job, **tasks, **restart, PATH=path, SCONTROL_LOG=str(self.log), PYTHON=sys.executable)

    def requeued(self) -> int:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        assert set(lines) <= {"requeue 7"}
        return len(lines)


def test_the_slurm_script_goes_on_after_a_time_limit_and_a_kill(root: Path, undisturbed: Path, digits: Path) -> None:
    cluster = Cluster(root, digits)
    moment = (random.SystemRandom().randrange(20, STEPS), random.SystemRandom().randrange(2))
    words = [*words_to_kill(root / "kills", moment), "--trainer.callbacks+=tests.devices.scenarios.Pause",
             f"--trainer.callbacks.file={root / 'paused'}"]  # fmt: skip

    job = cluster.start(*words)
    while not (root / "paused").exists():  # in a step of the second epoch
        assert job.poll() is None, end(job)
        time.sleep(0.05)
    job.send_signal(signal.SIGUSR1)  # as SLURM does two minutes before the time limit
    time.sleep(0.5)
    (root / "paused").write_text("go on")
    code, out, err = end(job)
    assert (code, cluster.requeued()) == (143, 1), f"{out}\n{err}"
    assert checkpoint(run_folder(root, 1))["global_step"] == 14

    code, out, err = end(cluster.start(*words))
    assert (code, cluster.requeued()) == (137, 2), f"{moment}\n{out}\n{err}"
    code, out, err = end(cluster.start(*words))
    assert (code, cluster.requeued()) == (0, 2), f"{moment}\n{out}\n{err}"
    assert_only_new_run_is(root, undisturbed, f"{moment}\n{out}\n{err}")


def test_the_slurm_script_does_not_repeat_a_wrong_request(tmp_path: Path, digits: Path) -> None:
    cluster = Cluster(tmp_path, digits)
    code, _, err = end(cluster.start("--model.lr", "-1"))

    assert (code, cluster.requeued()) == (2, 0)
    assert err.count("--model.lr must be a positive number") == 1


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
