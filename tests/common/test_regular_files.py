"""Pipes and sockets where a file should be: a program that opened one would wait for ever."""

import os
import socket
from pathlib import Path

import pytest

from src.common.files import open_regular, read_regular
from tests.conftest import Cli


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_only_regular_files_are_opened(pipe: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for place in (pipe, tmp_path / "socket", Path("/dev/zero"), tmp_path, tmp_path / "none"):
            with pytest.raises(OSError, match=str(place)):
                open_regular(place)
    assert read_regular(tmp_path / "link") == b"content"


def check(code: int, err: str, path: Path) -> None:
    assert code in (1, 2)
    assert len(err.splitlines()) == 1
    assert str(path) in err


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"])
def test_a_pipe_among_the_data_is_named(name: str, cli: Cli, own_digits: Path) -> None:
    (own_digits / name.removesuffix(".gz")).unlink()
    os.mkfifo(own_digits / name)
    answer = cli("fit", "--data.data_dir", str(own_digits))

    check(answer.code, answer.err, own_digits / name)


def test_a_checkpoint_that_names_a_folder_of_pipes_is_refused(cli: Cli, own_run: Path, own_digits: Path) -> None:
    import torch

    for path in own_digits.iterdir():
        path.unlink()
        os.mkfifo(path)
    last = own_run / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    content["config"]["data"]["data_dir"] = str(own_digits)
    torch.save(content, last)

    for command in ("fit", "test"):
        answer = cli(command, "--ckpt_path", str(last))
        check(answer.code, answer.err, own_digits)


@pytest.mark.parametrize("name", ["config.yaml", "job.json", "result.json", "projector_config.pbtxt"])
def test_a_pipe_in_a_run_folder_does_not_hold_up_its_training(name: str, cli: Cli, own_run: Path) -> None:
    (own_run / name).unlink(missing_ok=True)
    os.mkfifo(own_run / name)
    answer = cli("fit", "--ckpt_path", str(own_run), "--trainer.max_epochs", "3")

    assert answer.code in (0, 2)
    assert len(answer.err.splitlines()) <= 1


def test_a_pipe_for_a_checkpoint_or_a_picture_is_named(cli: Cli, own_run: Path, pipe: Path) -> None:
    from src.cli.main import main

    answer = cli("test", "--ckpt_path", str(pipe))
    check(answer.code, answer.err, pipe)
    words = ["--ckpt_path", str(own_run), "--output", str(own_run / "table.csv"), "--images", f"{pipe}*"]
    assert main(["predict", *words]) == 1
    assert "cannot be read (a pipe or a device, not a file)" in (own_run / "table.csv").read_text()


@pytest.mark.parametrize("flag", ["--config", "--model", "--data", "--data.data_dir", "--distillation.teacher"])
@pytest.mark.parametrize("form", ["{} {}", "{}={}"])
def test_a_pipe_among_the_words_is_named(flag: str, form: str, cli: Cli, pipe: Path) -> None:
    answer = cli("fit", *form.format(flag, pipe).split())

    check(answer.code, answer.err, pipe)
    assert answer.code == 2


def test_a_pipe_that_a_config_names_is_refused(cli: Cli, pipe: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"model: {pipe}\n")
    answer = cli("fit", "--config", str(tmp_path / "config.yaml"))

    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1
