"""Commands as a shell runs them."""

import re
import subprocess
from pathlib import Path

from tests.conftest import Answer, run_process


def run_as_written(command: str, folder: Path) -> str:
    """Run a command of a page as a shell does, and return what it prints; it must succeed without a complaint."""
    if re.fullmatch(r"python -m src\.cli (fit|validate|test|sweep) [^|&;<>]+", command):
        words = in_shell(f"printf '%s\\0' {command}", folder).out.split("\0")
        answer = run_process(*words[3:-1], cwd=folder)
    else:
        answer = in_shell(command, folder)
    assert (answer.code, answer.err) == (0, ""), f"{command}\n{answer.out}\n{answer.err}"
    return answer.out


def in_shell(command: str, folder: Path, timeout: int = 300) -> Answer:
    activated = command if command.startswith("make ") else f"source .venv/bin/activate; {command}"
    done = subprocess.run(["bash", "-ec", activated], cwd=folder, capture_output=True, text=True, timeout=timeout)
    return Answer(done.returncode, done.stdout, done.stderr)
