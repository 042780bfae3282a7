"""How a server ends: requests under way are answered, and nothing keeps it from ending."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.faults.pictures import saved
from tests.serve.conftest import Address, drawing, is_well, serving

HALF = 100  # bytes of a picture, less than it has


def begin(address: Address, file: bytes, size: int = HALF) -> socket.socket:
    """Send the first part of a request, and return when the server has it."""
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(file)}"
    connection = socket.create_connection(address)
    connection.sendall(f"{head}\r\n\r\n".encode() + file[:size])
    assert is_well(address)  # is asked after it
    return connection


def is_listening(address: Address) -> bool:
    try:
        socket.create_connection(address).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_request_under_way_end(trained: Path, number: int) -> None:
    file = saved(drawing())
    with serving(trained) as (server, address), begin(address, file) as connection:
        server.send_signal(number)
        while is_listening(address):
            time.sleep(0.02)
        connection.sendall(file[HALF:])
        answer = connection.makefile("rb").read()
        _, err = server.communicate()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["model"]
    assert (server.returncode, err) == (0, "")


def test_a_second_ctrl_c_does_not_wait_for_it(trained: Path) -> None:
    with serving(trained) as (server, address), begin(address, saved(drawing())) as connection:
        server.send_signal(signal.SIGINT)
        while is_listening(address):
            time.sleep(0.02)
        server.send_signal(signal.SIGINT)
        answer = connection.makefile("rb").read()
        _, err = server.communicate()

    assert b"The server is ending." in answer
    assert (server.returncode, err) == (0, "")


def test_a_program_goes_on_after_it_has_served(trained: Path) -> None:
    code = f"""import time
from src.serve import connections, serve
connections.GRACE_SECONDS = 1
serve({str(trained)!r}, port=0)
time.sleep(3)
print("goes on")"""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, text=True, **pipes) as program:
        next(line for line in program.stdout if line.startswith("Draw on"))
        time.sleep(0.5)
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=20)

    assert (out, err, program.returncode) == ("goes on\n", "", 0)


def test_a_reader_that_does_not_end_does_not_keep_the_server_from_ending(trained: Path) -> None:
    stuck = "import time; app.read_number = lambda file: time.sleep(300); connections.GRACE_SECONDS = 1"
    picture = saved(drawing())
    with serving(trained, stuck) as (server, address), begin(address, picture, len(picture)) as connection:
        server.send_signal(signal.SIGTERM)
        answer = connection.makefile("rb").read()
        _, err = server.communicate(timeout=20)

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"The server is ending." in answer
    assert (server.returncode, "Traceback" in err) == (0, False)
