"""Folders and files that may not be read or written, disks that fail, and too little memory."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from src.cli.main import main
from src.cli.messages import explain
from tests.conftest import Answer, Cli
from tests.faults.calls import as_nobody, refusing
from tests.refusals.requests import FIT, Request, check, files

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["best", "version_0"])
def test_a_run_that_may_not_be_looked_into_is_named(
    name: str, cli: Cli, own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(monkeypatch, "stat", own_run / "checkpoints")
    answer = cli("test", "--ckpt_path", "best" if name == "best" else str(own_run))

    check(answer, Request("", (f"{own_run}/checkpoints/best.ckpt: Permission denied", "permissions")))


def test_a_checkpoint_that_may_not_be_read_is_not_called_damaged(
    cli: Cli, own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = own_run / "checkpoints" / "best.ckpt"

    refusing(monkeypatch, "open", path)
    answer = cli("test", "--ckpt_path", str(path))

    check(answer, Request("", (f"{path}: Permission denied",)))
    assert "damaged" not in answer.err


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_resuming_in_a_run_that_may_not_be_written_names_it(
    number: int, cli: Cli, own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(own_run)
    refusing(monkeypatch, "open", own_run / ".lock", number)
    answer = cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "3")

    check(answer, Request("", (f"{own_run}/.lock: {os.strerror(number)}",)))
    assert files(own_run) == before


def test_a_result_that_may_not_be_kept_is_still_shown(cli: Cli, own_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(monkeypatch, "mkdir", own_run)
    refusing(monkeypatch, "rename", own_run)
    refusing(monkeypatch, "replace", own_run)
    answer = cli("test", "--ckpt_path", "best")

    check(answer, Request("", (f"{own_run}/test.json: Permission denied",)))
    assert answer.out.startswith("test/acc: ")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        *((errno.ENOSPC, 1), (errno.EDQUOT, 1), (errno.EFBIG, 1), (errno.EIO, 1), (errno.ESTALE, 1)),
        *((errno.ENOTDIR, 2), (errno.EISDIR, 2), (errno.ENOLCK, 2)),
    ],
)
def test_what_the_disk_refuses_is_a_sentence_with_the_file(number: int, code: int) -> None:
    told = explain(OSError(number, os.strerror(number), "some/file"))

    assert told is not None
    assert told[1] == code
    assert "some/file" in told[0]
    assert explain(OSError(errno.EBADF, "Bad file descriptor", "some/file")) is None
    assert explain(KeyError("ours")) is None


def test_a_network_is_as_large_as_its_kind_makes_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.cli.refusals.memory_bytes", lambda: 1e6)  # the weights of mlp are 814,120
    request = ["--trainer.fast_dev_run", "1", "--model.hidden_units", "[256]"]

    assert cli("fit", *request).code == 0
    refused = cli("fit", *request, "--model.network", "cnn")
    assert refused.code == 2
    assert "--model.hidden_units [256]: the weights take at least" in refused.err


def test_too_little_memory_is_a_sentence() -> None:
    with pytest.raises(RuntimeError) as failure:
        torch.empty(1 << 60, dtype=torch.uint8)
    sentence, code = explain(failure.value) or ("", 0)

    assert code == 2
    assert "not enough memory" in sentence
    assert explain(MemoryError()) == (sentence, code)


@pytest.fixture
def open_folder(digits: Path) -> Iterator[Path]:
    """A folder with data and an empty log folder, which anybody may look into, as pytest's own may not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(digits, folder / "digits", copy_function=shutil.copy)
        (folder / "digits").chmod(0o755)
        (folder / "lightning_logs").mkdir()
        yield folder
        (folder / "lightning_logs").chmod(0o755)


@pytest.mark.parametrize(
    ("mode", "words", "says"),
    [
        (0o000, "test --ckpt_path best", ("lightning_logs: Permission denied", "change its permissions")),
        (0o000, FIT, ("lightning_logs cannot be written (Permission denied)", "--trainer.default_root_dir")),
        (0o500, FIT, ("lightning_logs cannot be written (Permission denied)", "--trainer.default_root_dir")),
    ],
)
def test_a_log_folder_without_permission_is_named(
    mode: int,
    words: str,
    says: tuple[str, ...],
    open_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(open_folder)
    Path("lightning_logs").chmod(mode)
    with as_nobody():
        code = main(words.split())
    check(Answer(code, *capsys.readouterr()), Request(words, says))
