"""Small synthetic data sets, and ways to run the command line."""

import atexit
import gc
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from src.cli.main import main
from src.data.datamodule import MNISTDataModule  # noqa: F401 - Lightning's log keeps the stderr of its first import
from src.data.sources import place_files
from tests.chromium import CHROMIUM, chromium
from tests.forks import Parent
from tests.synthetic import write_digits

REPOSITORY = Path(__file__).parents[1]
TRAIN_SIZE, TEST_SIZE = 230, 70
FIRST = (
    *("test_readme.py", "test_slurm.py", "test_deletion.py", "test_make_it_yours.py"),
    *("test_exact.py", "test_menu.py"),
)


DRAWN = ("--inspection.enabled", "true")
TRAINS = {"digits", "mnist", "clone", "browser"}  # fixtures of tests that train or start something


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small IDX files, not to be changed."""
    return write_digits(tmp_path_factory.mktemp("digits"), TRAIN_SIZE, TEST_SIZE)


@pytest.fixture
def own_digits(tmp_path: Path) -> Path:
    """A folder with small IDX files of the test's own, to break."""
    return write_digits(tmp_path / "digits", TRAIN_SIZE, TEST_SIZE)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """A run folder with two epochs on the small data, not to be changed."""
    root = tmp_path_factory.mktemp("trained")
    place = ["--trainer.default_root_dir", str(root), "--trainer.accelerator", "cpu", "--trainer.max_epochs", "2"]
    assert (
        main(["fit", *place, "--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]) == 0
    )
    return root / "lightning_logs" / "version_0"


@pytest.fixture
def own_run(tmp_path: Path, trained: Path) -> Path:
    """A copy of it under tmp_path/lightning_logs, to break."""
    return Path(shutil.copytree(trained, tmp_path / "lightning_logs" / "version_0"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes, so that none of them is left to one process at the end; mark the slow."""
    for item in items:
        if isinstance(item, pytest.Function) and TRAINS & {*item.fixturenames}:
            item.add_marker("slow")
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


def pytest_collection_finish() -> None:
    """Spare the search for garbage what was imported, which takes a fifth of a test's time."""
    gc.collect()
    gc.freeze()


@dataclass
class Answer:
    code: int
    out: str
    err: str


Cli = Callable[..., Answer]


@pytest.fixture
def cli(tmp_path: Path, digits: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process, on small data, with its runs under tmp_path/lightning_logs."""

    def run(command: str, *words: str) -> Answer:
        data = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
        data += ["--inspection.enabled", "false"]  # which takes as long as the rest, and has tests of its own
        place = ["--trainer.default_root_dir", str(tmp_path), "--trainer.accelerator", "cpu"]
        capsys.readouterr()
        code = main([command, *place, *(data if command == "fit" and "--ckpt_path" not in words else []), *words])
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return run


def run_process(*words: str, cwd: Path = REPOSITORY, timeout: int = 300, **environment: str) -> Answer:
    """Run ``python -m src.cli`` as a user does: in a fork, or as a start of Python where variables are given.

    In a fork it may be Python too: ``-c`` and code.
    """
    if not environment and words and words[0] in ("fit", "validate", "test", "sweep", "-c"):
        return Answer(*forks().run([*words], cwd, {**os.environ, "OMP_NUM_THREADS": "1"}, timeout))
    done = subprocess.run(
        [sys.executable, "-m", "src.cli", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


@cache
def forks() -> Parent:
    return Parent()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        atexit.register(os._exit, 0)  # without 60 lines on what triton leaks, among the results


def pytest_unconfigure() -> None:
    if forks.cache_info().currsize:
        forks().end()


@pytest.fixture(scope="session")
def mnist() -> Path:
    """The folder that holds MNIST/raw with the real files, placed from the packaged copy."""
    place_files("MNIST", REPOSITORY / "data")
    return REPOSITORY / "data"


@pytest.fixture(scope="session")
def mnist_run(tmp_path_factory: pytest.TempPathFactory, mnist: Path) -> Path:
    """A run folder with three epochs of the main job on the real images, not to be changed."""
    root = tmp_path_factory.mktemp("mnist_run")
    place = ["--trainer.default_root_dir", str(root), "--trainer.max_epochs", "3", "--inspection.enabled", "false"]
    assert run_process("fit", "--config", "configs/mlp.yaml", *place).code == 0
    return root / "lightning_logs" / "version_0"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, mnist: Path) -> Path:
    """The files that git tracks, times of change included, with this environment and the placed data."""
    folder = tmp_path_factory.mktemp("clone")
    names = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for name in names.splitlines():
        if (REPOSITORY / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "data").symlink_to(mnist)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def audible() -> Iterator[None]:
    """Let a process that was the second of a job in one test warn in the next."""
    yield
    logging.getLogger("src").setLevel(logging.NOTSET)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT interrupt, also where a shell in the background had it ignored, and after Lightning ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
