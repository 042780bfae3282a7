"""What docs/make_it_yours.md takes away at first, a copy for each: training, resume and test still run."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, run_process

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
ALL = sorted({command for names in NAMES.values() for command in names})
SIZES = ["--data.val_size", "60", "--data.batch_size", "32", "--trainer.accelerator", "cpu"]


def test_each_part_is_there() -> None:
    assert len(COMMANDS.splitlines()) == len(NAMES)


@pytest.mark.parametrize(
    ("name", "command", "removed"),
    [*zip(NAMES, COMMANDS.splitlines(), NAMES.values(), strict=True), ("sweep", COMMANDS, ALL)],
    ids=[*NAMES, "all"],
)
def test_without_a_part_the_rest_runs(
    name: str, command: str, removed: list[str], tmp_path: Path, digits: Path
) -> None:
    for part in ("src", "tests", "configs"):
        shutil.copytree(REPOSITORY / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["bash", "-ec", command], cwd=tmp_path, check=True)
    assert not (tmp_path / "src" / name).exists()
    assert not (tmp_path / "src" / f"{name}.py").exists()

    place = ["--data.data_dir", str(digits), *SIZES, "--trainer.max_epochs", "1"]
    commands = [
        ["fit", *place],
        ["fit", "--ckpt_path", "last", "--trainer.max_epochs", "2"],
        ["test", "--ckpt_path", "best"],
    ]
    code = f"""
from src.cli.main import main
for words in {commands}:
    assert main(words) == 0, words
for name in {removed}:
    assert main([name]) == 2
main(["--help"])
"""
    done = run_process("-c", code, cwd=tmp_path)

    assert done.code == 0, done.err
    refused = done.err.splitlines()
    assert [line.split(" is not a command")[0] for line in refused] == [f"error: {command}" for command in removed]
    for command in removed:
        assert f"{command} (" not in done.out
    assert "validate" in done.out.partition("usage: ")[2]
