from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from src.common.errors import UsageError
from src.runs.folder import Run, find_checkpoint


def create(root: Path) -> str:
    return Run.create(root).path.name


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / "lightning_logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_runs_are_numbered_on_from_the_highest(tmp_path: Path) -> None:
    (tmp_path / "lightning_logs" / "version_7").mkdir(parents=True)
    (tmp_path / "lightning_logs" / "sweeps").mkdir()

    assert create(tmp_path) == "version_8"
    assert create(tmp_path) == "version_9"


def test_runs_that_start_at_once_get_a_folder_each(tmp_path: Path) -> None:
    start = Barrier(8)

    def create_at_once(root: Path) -> str:
        start.wait()
        return create(root)

    with ThreadPoolExecutor(8) as pool:  # no fork: a child may wait for ever for a lock that another thread had
        names = list(pool.map(create_at_once, [tmp_path] * 8))

    assert len(set(names)) == 8


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path: Path) -> None:
    run = Run.create(tmp_path)
    with pytest.raises(UsageError, match="trained by another process"):
        Run(run.path).lock()
    run.unlock()
    Run(run.path).lock()


def test_a_refused_run_leaves_no_folder_but_one_with_a_checkpoint_stays(tmp_path: Path) -> None:
    refused, kept = Run.create(tmp_path), Run.create(tmp_path)
    put(tmp_path, "version_1/checkpoints/last.ckpt")
    refused.discard()
    kept.discard()
    Run(kept.path).discard()

    assert [path.name for path in (tmp_path / "lightning_logs").iterdir()] == ["version_1"]


def test_best_and_last_are_those_of_the_newest_run_that_has_them(tmp_path: Path) -> None:
    put(tmp_path, "version_2/checkpoints/best.ckpt", "version_2/checkpoints/last.ckpt")
    put(tmp_path, "version_10/checkpoints/last.ckpt", "version_11/config.yaml")
    put(tmp_path, "sweeps/version_99/checkpoints/best.ckpt")
    runs = tmp_path / "lightning_logs"

    assert find_checkpoint("best", tmp_path, "best") == runs / "version_2/checkpoints/best.ckpt"
    assert find_checkpoint("last", tmp_path, "best") == runs / "version_10/checkpoints/last.ckpt"


def test_a_run_folder_stands_for_the_checkpoint_that_the_command_prefers(tmp_path: Path) -> None:
    put(tmp_path, "version_0/checkpoints/best.ckpt", "version_0/checkpoints/last.ckpt")
    folder = str(tmp_path / "lightning_logs" / "version_0")

    assert find_checkpoint(folder, tmp_path, "best").name == "best.ckpt"
    assert find_checkpoint(folder, tmp_path, "last").name == "last.ckpt"
    assert find_checkpoint(f"{folder}/checkpoints/last.ckpt", tmp_path, "best").name == "last.ckpt"


@pytest.mark.parametrize("request_", ["best", "last", "version_0", "nowhere.ckpt"])
def test_a_checkpoint_that_is_not_there_is_an_error(tmp_path: Path, request_: str) -> None:
    (tmp_path / "version_0").mkdir()
    name = request_ if request_ in ("best", "last") else str(tmp_path / request_)
    with pytest.raises(UsageError, match=r"^`ckpt_path` "):
        find_checkpoint(name, tmp_path, "best")


def test_a_checkpoint_belongs_to_the_run_around_it_and_only_last_continues_it() -> None:
    run = Run.of_checkpoint(Path("lightning_logs/version_3/checkpoints/best.ckpt"))

    assert run.path == Path("lightning_logs/version_3")
    assert run.continues_from(run.last)
    assert run.continues_from(run.last_prev)
    assert not run.continues_from(run.best)
    assert Run.of_checkpoint(Path("mine.ckpt")).path == Path()


def test_a_refused_run_takes_the_folder_of_the_runs_away_only_if_it_is_empty(tmp_path: Path) -> None:
    first, second = Run.create(tmp_path), Run.create(tmp_path)
    first.discard()
    assert [path.name for path in (tmp_path / "lightning_logs").iterdir()] == ["version_1"]
    second.discard()
    assert not (tmp_path / "lightning_logs").exists()
