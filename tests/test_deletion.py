"""What docs/make_it_yours.md takes away at first, a copy for each: training, resume and test still run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "make_it_yours.md").read_text()
PART = PAGE[PAGE.index("## Start by deleting") : PAGE.index("## 1. ")]
(COMMANDS,) = re.findall(r"```bash\n(.*?)```", PART, re.DOTALL)
NAMES = {
    "sweep": ["sweep"],
    "serve": ["serve"],
    "export": ["export"],
    "predict": ["predict", "serve"],
    "inspection": [],
}
SIZES = ["--data.val_size", "60", "--data.batch_size", "32", "--trainer.accelerator", "cpu"]


def test_each_part_is_there() -> None:
    assert len(COMMANDS.splitlines()) == len(NAMES)


@pytest.mark.parametrize(("name", "command"), [*zip(NAMES, COMMANDS.splitlines(), strict=True)])
def test_without_a_part_the_rest_runs(name: str, command: str, tmp_path: Path, digits: Path) -> None:
    for part in ("src", "tests", "configs"):
        shutil.copytree(REPOSITORY / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["bash", "-ec", command], cwd=tmp_path, check=True)
    assert not (tmp_path / "src" / name).exists()
    assert not (tmp_path / "src" / f"{name}.py").exists()

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "src.cli", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    for words in (
        ["fit", "--data.data_dir", str(digits), *SIZES, "--trainer.max_epochs", "1"],
        ["fit", "--ckpt_path", "last", "--trainer.max_epochs", "2"],
        ["test", "--ckpt_path", "best"],
    ):
        done = run(*words)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
    shown = run("--help").stdout
    for removed in NAMES[name]:
        assert f"{removed} (" not in shown
        refused = run(removed)
        assert refused.returncode == 2
        assert f"{removed} is not a command" in refused.stderr
