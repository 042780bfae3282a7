"""Processes that are killed, train beside each other or in one run, or lose their folder."""

import json
import random
import subprocess
from pathlib import Path

from tests.conftest import Cli, run_process
from tests.training import EPOCHS, curves, run_folder


def test_a_killed_run_becomes_the_undisturbed_one(tmp_path: Path, digits: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    code = f"""
from pathlib import Path
from benchmarks import chaos
words = ["--data.data_dir", "{digits}", "--data.val_size", "60", "--data.batch_size", "32", "--model.hidden_units",
         "[16]", "--trainer.max_epochs", "3", "--trainer.accelerator", "cpu", "--inspection.enabled", "false"]
print("outcomes", chaos.study(words, Path("{tmp_path}"), 5, {seed}))
"""
    answer = run_process("-c", code)

    assert answer.code == 0, answer
    assert answer.out.count(": equal") == 5, f"seed {seed}\n{answer}"


def test_two_cannot_train_in_one_run(endless: subprocess.Popen[str], cli: Cli, tmp_path: Path) -> None:
    second = cli("fit", "--ckpt_path", str(run_folder(tmp_path)))

    assert second.code == 2
    assert "is being trained by another process" in second.err
    assert endless.poll() is None


def test_a_run_that_is_removed_while_it_trains_ends_with_one_sentence(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *EPOCHS, "--trainer.callbacks+=tests.faults.stops.Remove")

    assert answer.code == 1
    assert answer.err == f"error: {run_folder(tmp_path)} is gone: it was removed or renamed while it was written to.\n"


def test_what_a_killed_process_was_writing_is_taken_away_by_the_next(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    left = run_folder(tmp_path) / "checkpoints" / ".last.ckpt.x1y2z3.tmp"
    left.touch()
    cli("test", "--ckpt_path", "best")
    assert left.exists()  # it may be another process', which is still writing

    assert cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "4").code == 0
    assert not left.exists()


def test_eight_that_start_together_get_eight_runs(tmp_path: Path, digits: Path) -> None:
    words = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
    place = ["--trainer.default_root_dir", str(tmp_path), "--trainer.max_epochs", "1", "--inspection.enabled", "false"]
    code = f"""
import os
from pathlib import Path
from tests.faults.processes import fork
from src.cli.main import main
children = [fork(lambda: main(["fit", "--seed_everything", str(seed), *{[*words, *place]}]), Path("{tmp_path}/log"))
            for seed in range(8)]
print("codes", [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""
    answer = run_process("-c", code)
    runs = [run_folder(tmp_path, number) for number in range(8)]

    assert f"codes {[0] * 8}" in answer.out, answer
    assert sorted(json.loads((run / "result.json").read_text())["seed"] for run in runs) == list(range(8))
    for run in runs:
        assert len(list(run.glob("events.*"))) == 1
        assert len(curves(run)["val/acc"]) == 1
