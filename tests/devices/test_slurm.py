"""scripts/slurm.sbatch under a real SLURM: every end that a job can have, and the numbers of the undisturbed run."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.restarts import words_to_kill
from tests.conftest import run_process
from tests.devices.jobs import (
    HELD,
    STEPS,
    assert_only_new_run_is,
    fit,
    unavailable,
    wait_for_file,
    words_to_hold,
)
from tests.devices.slurm import Slurm, missing_programs
from tests.training import checkpoint, run_folder, same_training


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    if missing := missing_programs():
        unavailable(f"{', '.join(missing)} missing, so SLURM is not tested: apt-get install slurm-wlm munge")
    slurm = Slurm(tmp_path_factory.mktemp("slurm"))
    yield slurm
    slurm.stop()


def steps(folder: Path, task: str = "") -> list[int]:
    return [int(line) for line in (folder / f"steps{task}").read_text().split()]


def test_the_end_of_the_time_saves_and_no_step_is_done_twice(
    slurm: Slurm, root: Path, undisturbed: Path, digits: Path
) -> None:
    job = slurm.submit(root, fit(root, digits, *words_to_hold(root / "hold"))[1:], "--time=10")
    wait_for_file(root / "hold" / "held")
    # two minutes before the end is now; SLURM looks every half minute
    assert slurm.call("scontrol", "update", f"JobId={job.name}", "TimeLimit=2") == ""
    job.wait_for("PENDING", restarts=1)

    assert "Stopped by SIGTERM" in job.output
    assert checkpoint(run_folder(root, 1))["global_step"] == HELD

    job.start_again()
    job.wait_for("COMPLETED", restarts=1)
    assert steps(root / "hold") == list(range(STEPS))
    assert_only_new_run_is(root, undisturbed, job.output)


def go_on(run: Path) -> None:
    words = ["--config", str(run / "config.yaml"), "--ckpt_path", str(run), "--trainer.devices", "2"]
    answer = run_process("fit", *words, "--trainer.callbacks", "null")
    assert (answer.code, answer.err) == (0, "")


def test_what_somebody_ends_is_saved_and_not_begun_again(slurm: Slurm, root: Path, digits: Path) -> None:
    job = slurm.submit(root, fit(root, digits, *words_to_hold(root / "hold"))[1:])
    wait_for_file(root / "hold" / "held")
    slurm.call("scancel", "--signal=TERM", job.name)
    job.wait_for("FAILED")

    assert checkpoint(run_folder(root, 1))["global_step"] == HELD, job.output
    assert "Stopped by SIGTERM" in job.output


def test_what_somebody_cancels_goes_on_from_its_last_checkpoint(
    slurm: Slurm, root: Path, undisturbed: Path, digits: Path
) -> None:
    job = slurm.submit(root, fit(root, digits, *words_to_hold(root / "hold"))[1:])
    wait_for_file(root / "hold" / "held")
    slurm.call("scancel", job.name)
    job.wait_for("CANCELLED")

    go_on(run_folder(root, 1))
    assert_only_new_run_is(root, undisturbed, job.output)


def test_killed_before_the_first_checkpoint_and_killed_once_too_often(
    slurm: Slurm, root: Path, undisturbed: Path, digits: Path
) -> None:
    choice = random.SystemRandom()
    moments = ((choice.randrange(4), choice.randrange(2)), (choice.randrange(5, STEPS), choice.randrange(2)))
    words = fit(root, digits, *words_to_kill(root / "kills", *moments))[1:]
    job = slurm.submit(root, words, MOST_RESTARTS="1")
    job.wait_for("PENDING", restarts=1)
    job.start_again()
    job.wait_for("FAILED", restarts=1)

    assert sorted(path.name for path in (root / "kills").iterdir()) == ["0", "1"], moments
    run = run_folder(root, 1)
    assert checkpoint(run)["global_step"] < STEPS
    go_on(run)
    assert_only_new_run_is(root, undisturbed, f"{moments}\n{job.output}")


def test_a_node_that_dies(slurm: Slurm, root: Path, undisturbed: Path, digits: Path) -> None:
    job = slurm.submit(root, fit(root, digits, *words_to_hold(root / "hold"))[1:])
    wait_for_file(root / "hold" / "held")
    slurm.kill_node("n2")
    (root / "hold" / "held").write_text("go on")
    job.wait_for("PENDING", restarts=1)
    slurm.start_node("n2")
    slurm.wait_until_idle()
    # the node still reports the end of its part of the job, which SLURM 22.05 would take for that of the new start's
    job.start_again(10)
    job.wait_for("COMPLETED", restarts=1)

    assert "error: another process of this job has ended" in job.output
    assert_only_new_run_is(root, undisturbed, job.output)


def test_one_of_an_array_does_not_disturb_the_other(slurm: Slurm, tmp_path: Path, digits: Path) -> None:
    words = fit(tmp_path, digits, *words_to_hold(tmp_path / "hold"))[1:]
    array = slurm.submit(tmp_path, words, "--nodes=1", "--array=1-2")
    first, second = (type(array)(slurm, f"{array.name}_{number}", tmp_path) for number in (1, 2))
    for number in (1, 2):
        wait_for_file(tmp_path / "hold" / f"held{number}")
    slurm.call("scancel", "--batch", "--signal=USR1", first.name)  # what SLURM does near the end of the time
    first.wait_for("PENDING", restarts=1)
    second.wait_for("RUNNING")
    (tmp_path / "hold" / "held2").write_text("go on")
    second.wait_for("COMPLETED")
    first.start_again()
    first.wait_for("COMPLETED", restarts=1)

    alone = tmp_path / "alone"
    words = fit(alone, digits, "--seed_everything", "1", "--trainer.devices", "1")
    assert run_process(*words).code == 0
    found = [checkpoint(run_folder(tmp_path, number)) for number in (0, 1)]
    same = [same_training(state, checkpoint(run_folder(alone))) for state in found]
    assert sorted(same) == [False, True], array.output
    assert [state["global_step"] for state in found] == [STEPS, STEPS]
    assert [steps(tmp_path / "hold", task) for task in ("1", "2")] == [list(range(STEPS))] * 2


@pytest.mark.parametrize(
    ("options", "variables", "sentence"),
    [
        (["--ntasks=3", "--ntasks-per-node=2"], {}, "error: the launcher started 3 processes on 2 machine(s): start"),
        ([], {"MASTER_ADDR": "nowhere.invalid"}, "error: the first machine's name, nowhere.invalid, is not known here"),
    ],
    ids=["a wrong number of tasks", "a name that nobody knows"],
)
def test_what_cannot_start_says_why_and_is_not_begun_again(
    slurm: Slurm, tmp_path: Path, digits: Path, options: list[str], variables: dict[str, str], sentence: str
) -> None:
    job = slurm.submit(tmp_path, fit(tmp_path, digits)[1:], *options, **variables)
    job.wait_for("FAILED")

    assert sentence in job.output
    assert "Traceback" not in job.output
    assert "c10d" not in job.output
    assert not (tmp_path / "lightning_logs").exists()


def test_a_process_that_never_comes_is_named(slurm: Slurm, tmp_path: Path, digits: Path) -> None:
    late = "import os, time\nif os.environ.get('SLURM_PROCID') == '1': time.sleep(600)\n"
    (tmp_path / "sitecustomize.py").write_text(late)
    variables = {"PYTHONPATH": str(tmp_path), "MNIST_WAIT_SECONDS": "2"}
    job = slurm.submit(tmp_path, fit(tmp_path, digits)[1:], **variables)
    job.wait_for_output("error: rank 1 has not come within 2 s: see its output, or wait longer with MNIST_WAIT_")
    slurm.call("scancel", job.name)
    job.wait_for("CANCELLED")

    assert not (tmp_path / "lightning_logs").exists()
