"""Workers of a sweep as processes: shared cores, one that is killed and one that is stopped."""

import os
import re
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from src.sweep import workers
from tests.conftest import run_process
from tests.sweep.conftest import SPACE, Sweep, results, study_folder


def test_what_a_launcher_starts_are_workers(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"NTASKS": "2", "PROCID": "1", "LOCALID": "1", "JOB_ID": "7"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)

    assert sweep(SPACE, "--trials", "1").code == 0


def test_workers_share_the_cores_and_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []

    class Process:
        def __init__(self, command: list[str], env: dict[str, str], start_new_session: bool) -> None:
            started.append((command, env))

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(7)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    workers.start_workers(["--space=space.yaml", "--workers=3"], 3)

    assert [env["OMP_NUM_THREADS"] for _, env in started] == ["2", "2", "2"]
    assert [env["CUDA_VISIBLE_DEVICES"] for _, env in started] == ["2", "5", "2"]
    assert all(command[-1] == "--workers=1" for command, _ in started)


def test_workers_that_all_end_before_the_last_trial_are_told_of(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "start_workers", lambda words, number: None)  # as if they were killed
    answer = sweep(SPACE, "--workers", "2", "--trials", "3")

    assert answer.code == 1
    assert answer.err.startswith(
        "error: the workers have ended. 0 of 3 trials are done. Go on with: python -m src.cli "
    )
    assert answer.err.count("\n") == 1


WORKERS = """
import os, signal, sys, time
from pathlib import Path
from src.cli.main import main
from src.sweep import storage
from src.sweep.trial import Progress
storage.HEARTBEAT_SECONDS = 3
folder, outputs, words, numbers = Path({folder!r}), Path({outputs!r}), {words!r}, {numbers!r}
report = Progress.on_train_epoch_end
number = 0

def report_and_stop(self, trainer, pl_module):
    report(self, trainer, pl_module)
    if trainer.current_epoch == 1 and Progress.on_train_epoch_end is not report:
        while len(list(folder.glob("version_*"))) < len(numbers):  # the others are at work
            time.sleep(0.1)
        Progress.on_train_epoch_end = report
        os.kill(os.getpid(), number)

children = []
for worker, number in enumerate(numbers):
    if not (child := os.fork()):
        for stream in (1, 2):
            os.dup2(os.open(outputs / f"{{worker}}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), stream)
        if number:
            Progress.on_train_epoch_end = report_and_stop
        sys.exit(main(words))
    children.append(child)
for child in reversed(children):  # the first, if it was stopped, when the others have ended
    os.kill(child, signal.SIGCONT)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def run_workers(tmp_path: Path, digits: Path, trials: int, numbers: list[int], *words: str) -> list[str]:
    """Let workers share a grid of seeds; return what each printed.

    Args:
        tmp_path: Where the study is made.
        digits: The data.
        trials: How many seeds there are.
        numbers: For each worker, the signal that it gets in the middle of its first trial, or 0.
        words: More flags.
    """
    space = tmp_path / "seeds.yaml"
    space.write_text(f"seed_everything: {{grid: {list(range(trials))}}}\n")
    place = ["--trainer.default_root_dir", str(tmp_path), "--trainer.accelerator", "cpu", "--trainer.max_epochs", "3"]
    data = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
    command = ["sweep", "--space", str(space), *place, *data, "--model.hidden_units", "[8]", *words]
    folder = str(study_folder(tmp_path, "seeds"))
    code = WORKERS.format(folder=folder, outputs=str(tmp_path), words=command, numbers=[int(each) for each in numbers])
    answer = run_process("-c", code)
    outputs = [(tmp_path / f"{worker}.out").read_text() for worker in range(len(numbers))]
    codes = [-number if number == signal.SIGKILL else 0 for number in numbers]
    assert answer.out.split() == [str(code) for code in reversed(codes)], "\n".join([answer.err, *outputs])
    return outputs


def check_that_each_ran_once(tmp_path: Path, output: str, trials: int) -> None:
    found = results(study_folder(tmp_path, "seeds"))
    ends = Counter(re.findall(r"^Trial \d+: (.*?) - val/acc", output, re.MULTILINE))

    assert sorted(result["seed"] for result in found.values()) == list(range(trials))
    assert ends == {f"seed_everything {seed}": 1 for seed in range(trials)}
    # the killed one's trial went on in its own folder
    assert len(list(study_folder(tmp_path, "seeds").glob("version_*"))) == trials
    assert [[epoch["epoch"] for epoch in result["epochs"]] for result in found.values()] == [[1, 2, 3]] * trials


def test_four_workers_on_a_file_lose_no_trial_when_one_is_killed(tmp_path: Path, digits: Path) -> None:
    outputs = run_workers(tmp_path, digits, 12, [signal.SIGKILL, 0, 0, 0])

    check_that_each_ran_once(tmp_path, "".join(outputs), 12)


def test_a_worker_that_was_only_stopped_does_not_make_a_trial_count_twice(tmp_path: Path, digits: Path) -> None:
    late, output = run_workers(tmp_path, digits, 2, [signal.SIGSTOP, 0])

    assert re.findall(r"^Trial \d+: seed_everything \d - (was .*)$", late, re.MULTILINE) == [
        "was given to another worker after 9 s without a sign of life from this one, whose result does not count"
    ]
    assert len(re.findall(r"^Trial \d: .* - val/acc", output, re.MULTILINE)) == 2
    assert "2 trials: 2 to their end, 0 given up, 0 failed" in late
    assert len(list(study_folder(tmp_path, "seeds").glob("version_*"))) == 3  # no two train in one folder
    assert sorted(result["seed"] for result in results(study_folder(tmp_path, "seeds")).values()) == [0, 1]


def test_two_workers_on_a_database_lose_no_trial_when_one_is_killed(
    tmp_path: Path, digits: Path, postgresql: str
) -> None:
    outputs = run_workers(tmp_path, digits, 6, [signal.SIGKILL, 0], "--storage", postgresql)

    check_that_each_ran_once(tmp_path, "".join(outputs), 6)
