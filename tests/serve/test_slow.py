"""Connections that keep the server busy are ended, and it stays well."""

import resource
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.requests import HEAD, TWO_LENGTHS, UNFINISHED, ask_and_take_nothing, drip
from tests.serve.conftest import is_well, serving

SHORT = "connections.HEADER_SECONDS, connections.ANSWER_SECONDS, limits.BODY_SECONDS = 1, 3, 1"


def ended(connection: socket.socket, seconds: float) -> bool:
    """Whether the server ends a connection in time."""
    connection.settimeout(seconds)
    try:
        while connection.recv(65_536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def sockets_of(process: int) -> int:
    """How many TCP sockets of a process there are, the one that listens included."""
    own = {str(link.readlink()) for link in Path(f"/proc/{process}/fd").iterdir()}
    lines = Path(f"/proc/{process}/net/tcp").read_text().splitlines()[1:]
    return sum(f"socket:[{line.split()[9]}]" in own for line in lines)


def test_a_length_that_is_said_twice_ends_the_connection(trained: Path) -> None:
    with serving(trained) as (_, address), socket.create_connection(address) as connection:
        connection.sendall(TWO_LENGTHS)
        answer = connection.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("some", UNFINISHED)
def test_who_sends_nothing_more_is_let_go(trained: Path, some: str) -> None:
    with serving(trained, SHORT) as (_, address), socket.create_connection(address) as connection:
        connection.sendall(UNFINISHED[some])
        assert ended(connection, 10)
        assert is_well(address)


@pytest.mark.parametrize("begin", [b"GET / HTTP/1.1\r\nX: ", HEAD])
def test_who_drips_is_let_go(trained: Path, begin: bytes) -> None:
    with (
        serving(trained, SHORT) as (_, address),
        socket.create_connection(address) as connection,
        pytest.raises(ConnectionError),
    ):
        drip(connection, begin)


def test_who_takes_no_answers_is_let_go(trained: Path) -> None:
    with serving(trained, SHORT) as (server, address), socket.socket() as connection:
        with pytest.raises(TimeoutError):  # the server stops reading
            ask_and_take_nothing(connection, address)
        time.sleep(4)
        assert sockets_of(server.pid) == 1
        assert is_well(address)


def test_more_connections_than_files_shut_nobody_out_for_long(trained: Path) -> None:
    mine = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(2_000, mine[1]), mine[1]))
    try:
        with serving(trained, SHORT, files=256) as (server, address), ExitStack() as stack:
            assert is_well(address)
            server.send_signal(signal.SIGSTOP)  # so that all of them come at once
            for _ in range(400):
                stack.enter_context(socket.create_connection(address))
            server.send_signal(signal.SIGCONT)
            time.sleep(2.5)
            assert is_well(address)
            server.send_signal(signal.SIGTERM)
            _, err = server.communicate(timeout=20)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, mine)

    assert err == ""
