"""What ``serve`` refuses before it serves, and what it says when it begins."""

import errno
import signal
import socket
import sys
from pathlib import Path

import pytest
import uvicorn

from src.cli.main import main
from src.data.datasets import DATASETS
from tests.conftest import Answer
from tests.faults.runs import BEST_FILE, change, no_runs
from tests.refusals.requests import Request, check


def fashion(folder: Path) -> None:
    change(folder / BEST_FILE, "config/data/dataset", "FashionMNIST")
    change(folder / BEST_FILE, "MNISTDataModule/classes", list(DATASETS["FashionMNIST"].classes))


def own_network(folder: Path) -> None:
    change(folder / BEST_FILE, "config/model/network", {"class_path": "mynet.Net", "init_args": {"width": 128}})


SERVE = "serve --ckpt_path best --port"
BAD = {
    "no run yet": Request(f"{SERVE} 0", ("--ckpt_path best", "train one first: python -m src.cli fit"), no_runs),
    "a network for clothes": Request(f"{SERVE} 0", ("best", "T-shirt to Ankle boot", "ten digits"), fashion),
    "a network of one's own": Request(
        f"{SERVE} 0",
        ("'mynet.Net'", "take mlp and cnn only, so name another run (serve: by --ckpt_path)."),
        own_network,
    ),
    "a host without its list": Request(
        "serve --allowed_hosts digits.lan", ('--allowed_hosts: Expected a list such as "[digits.lan]".',)
    ),
    "a port above all": Request(f"{SERVE} 65536", ("--port", "0 to 65535", "65536")),
    "a port below all": Request(f"{SERVE} -1", ("--port", "0 to 65535", "-1")),
    "a port that is a word": Request(f"{SERVE} http", ("--port", "a whole number", "http")),
    "a host without an address": Request(f"{SERVE} 0 --host here.invalid", ("--host here.invalid", "127.0.0.1")),
    "a host that is no name": Request(f"{SERVE} 0 --host {'a' * 70}", ("--host aaaa", "127.0.0.1")),
    "another machine's address": Request(f"{SERVE} 0 --host 192.0.2.1", ("--host 192.0.2.1", "of this machine")),
}


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_: pytest.fail("it serves"))


@pytest.mark.usefixtures("no_server")
@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_one_sentence(
    name: str, own_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    BAD[name].prepare(tmp_path)
    monkeypatch.chdir(tmp_path)

    check(Answer(main(BAD[name].words.split()), *capsys.readouterr()), BAD[name])


@pytest.mark.usefixtures("no_server")
def test_a_port_in_use_is_named(own_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code = main(["serve", "--ckpt_path", str(own_run), "--port", str(port)])

    check(Answer(code, *capsys.readouterr()), Request("", (f"--port {port} is in use", "take another")))


@pytest.mark.usefixtures("no_server")
def test_a_port_that_takes_rights_is_named(
    own_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    code = main(["serve", "--ckpt_path", str(own_run), "--port", "80"])

    check(Answer(code, *capsys.readouterr()), Request("", ("--port 80 needs special rights", "1024")))


@pytest.mark.usefixtures("no_server")
def test_without_its_extra_it_says_what_to_install(
    own_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    code = main(["serve", "--ckpt_path", str(own_run)])

    says = ("uvicorn", 'pip install --constraint constraints.txt ".[serve]"')
    check(Answer(code, *capsys.readouterr()), Request("", says))


@pytest.mark.parametrize(
    ("host", "shown", "warned"),
    [("127.0.0.1", "127.0.0.1", False), ("::1", "[::1]", False), ("0.0.0.0", "localhost", True)],
)
def test_only_another_address_than_this_machines_own_is_warned_of(
    host: str,
    shown: str,
    warned: bool,
    own_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        (listener,) = sockets
        assert listener.proto == socket.IPPROTO_TCP  # what asyncio asks before it sends small answers at once
        listener.close()

    monkeypatch.setattr(uvicorn.Server, "run", run)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["serve", "--ckpt_path", str(own_run), "--host", host, "--port", "0"]) == 0
    out, err = capsys.readouterr()

    assert f"Draw on  http://{shown}:" in out
    assert ("no password" in err) == warned
    assert signal.getsignal(signal.SIGTERM) == before
