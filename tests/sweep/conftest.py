"""Ways to run a sweep on small data, and a PostgreSQL server."""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Answer, Cli

EPOCHS = 3


SPACE = "model.lr: {log: [1e-3, 1e-1]}\nmodel.hidden_units: {choice: [[8], [16, 8]]}\n"


Sweep = Callable[..., Answer]


@pytest.fixture
def sweep(cli: Cli, tmp_path: Path, digits: Path) -> Sweep:
    """Run a sweep over a space, in this process, on small data."""

    def run(space: str, *words: str) -> Answer:
        path = tmp_path / "space.yaml"
        path.write_text(space)
        data = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
        short = ["--trainer.max_epochs", str(EPOCHS), "--model.hidden_units", "[8]"]
        return cli("sweep", "--space", str(path), *data, *short, *words)

    return run


def study_folder(tmp_path: Path, name: str = "space") -> Path:
    return tmp_path / "lightning_logs" / "sweeps" / name


def results(folder: Path) -> dict[int, dict[str, Any]]:
    """Each run's result by the number of its folder."""
    paths = folder.glob("version_*/result.json")
    found = {int(path.parent.name.removeprefix("version_")): json.loads(path.read_text()) for path in paths}
    return dict(sorted(found.items()))


@pytest.fixture
def postgresql() -> Iterator[str]:
    """The URL of a database of a server of its own, on a socket."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if not programs:
        message = "No study is shared in a database without PostgreSQL: apt-get install postgresql"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    folder = Path(tempfile.mkdtemp(prefix="sweep-"))  # a short name, as a socket's must be
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name  # it refuses to run as root
    shutil.chown(folder, user)

    def run(program: str, *words: str) -> None:
        command = [str(programs[0] / program), "-D", str(folder / "data"), *words]
        subprocess.run(command, user=user, cwd="/", check=True, stdout=subprocess.DEVNULL)

    try:
        run("initdb", "-A", "trust", "-U", "sweep", "--no-sync")
        options = f"-k {folder} -c listen_addresses= -c fsync=off"
        run("pg_ctl", "-l", str(folder / "log"), "-w", "-o", options, "start")
        yield f"postgresql+psycopg://sweep@/postgres?host={folder}"
        run("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
