"""What docs/make_it_yours.md takes away at first, a copy for each: training, resume, test and make check still run."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from src.cli.commands import NAMES as NAMED
from tests.conftest import REPOSITORY, run_process
from tests.shell import in_shell, run_as_written

PAGE = (REPOSITORY / "docs" / "make_it_yours.md").read_text()
PART = PAGE[PAGE.index("## Start by deleting") : PAGE.index("## 1. ")]
(COMMANDS,) = re.findall(r"```bash\n(.*?)```", PART, re.DOTALL)
FIRST, *PARTS, LAST = COMMANDS.splitlines()  # the first and the last are for a whole clone
NAMES = {
    "sweep": ["sweep"],
    "serve": ["serve"],
    "export": ["export"],
    "predict": ["predict", "serve"],
    "inspection": [],
}
ALL = sorted({command for names in NAMES.values() for command in names})
WEIGHTS = "weights/digits.ckpt"
SIZES = ["--data.val_size", "60", "--data.batch_size", "32", "--trainer.accelerator", "cpu"]


def test_each_part_is_there() -> None:
    assert len(PARTS) == len(NAMES)


@pytest.mark.parametrize(
    ("name", "command", "removed"),
    [*zip(NAMES, PARTS, NAMES.values(), strict=True), ("sweep", "\n".join(PARTS), ALL)],
    ids=[*NAMES, "all"],
)
def test_without_a_part_the_rest_runs(
    name: str, command: str, removed: list[str], tmp_path: Path, digits: Path, own_run: Path
) -> None:
    for part in ("src", "tests", "configs", "weights"):
        shutil.copytree(REPOSITORY / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["bash", "-ec", command], cwd=tmp_path, check=True)
    assert not (tmp_path / "src" / name).exists()
    assert not (tmp_path / "src" / f"{name}.py").exists()

    place = ["--data.data_dir", str(digits), *SIZES, "--trainer.max_epochs", "1"]
    before = str(own_run)
    (tmp_path / "space.yaml").write_text("model.lr: {grid: [0.01]}\n")
    commands = [
        ["test", "--ckpt_path", before],
        ["fit", "--ckpt_path", before, "--trainer.max_epochs", "3"],
        ["fit", "--config", f"{before}/config.yaml", "--trainer.default_root_dir", "."],
        *([] if "sweep" in removed else [["sweep", "--space", "space.yaml", *place]]),
        ["fit", *place],
        ["fit", "--ckpt_path", "last", "--trainer.max_epochs", "2"],
        ["test", "--ckpt_path", "best"],
        *([["test", "--ckpt_path", WEIGHTS, *place[:2]]] if (tmp_path / WEIGHTS).exists() else []),
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
    listed = done.out.partition("Available subcommands:\n")[2]
    assert {line.split()[0] for line in listed.splitlines()} == {*NAMED} - {*removed}


def test_without_all_of_it_make_check_is_green(clone: Path) -> None:
    if (cache := REPOSITORY / ".mypy_cache").exists():  # else mypy takes four times as long
        shutil.copytree(cache, clone / cache.name)
    for command in (FIRST, *PARTS, LAST):
        run_as_written(command, clone)
    left = {path.name for path in clone.iterdir()}
    assert not left & {"benchmarks", "scripts", "notebooks", "examples", "docs", "weights"}

    done = in_shell("make -o .venv/installed -o .venv/dev-installed check", clone, timeout=1_200)
    assert done.code == 0, done.out[-3_000:] + done.err
    assert int(re.findall(r"(\d+) passed", done.out)[-1]) > 300
