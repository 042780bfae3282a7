"""The server against those who would keep it busy, fill it, or reach it through somebody's browser."""

import asyncio
import io
import json
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import fastapi
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from src.cli.main import main
from src.common.pictures import MOST_SCANS, scans
from src.runs.trained import Trained
from src.serve import app, limits
from tests.conftest import REPOSITORY
from tests.test_predict import rows_of
from tests.test_serve import HOME, PNG, drawing, encode

Address = tuple[str, int]


@pytest.fixture(scope="module")
def client(trained: Path) -> Iterator[TestClient]:
    with TestClient(app.create_app(Trained.load(str(trained)), ["0.0.0.0", "digits.lan"]), HOME) as client:
        yield client


@contextmanager
def serving(checkpoint: Path, before: str = "", files: int = 0) -> Iterator[tuple[subprocess.Popen[str], Address]]:
    """Run the server after some Python, with so many open files; give its process and its address."""
    words = ["serve", "--ckpt_path", str(checkpoint), "--port", "0"]
    code = f"from src.serve import app, connections, limits\n{before}\nimport runpy, sys\nsys.argv[1:] = {words}\n"
    code += "runpy.run_module('src.cli', run_name='__main__')"
    if files:
        code = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))\n{code}"
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, text=True, **pipes) as server:
        try:
            url = next(line for line in server.stdout if line.startswith("Draw on")).split()[2]
            host, port = url.removeprefix("http://").rstrip("/").split(":")
            yield server, (host, int(port))
        finally:
            server.kill()


def is_well(address: Address) -> bool:
    with urllib.request.urlopen("http://{}:{}/health".format(*address), timeout=5) as answer:
        return bool(json.load(answer)["status"] == "ok")


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


HOSTS = {
    "localhost": 200, "localhost:8000": 200, "LocalHost.": 200, "127.0.0.1:8000": 200, "[::1]:8000": 200, "[::1]": 200,
    "192.168.1.5:8000": 200, "digits.lan": 200, socket.gethostname(): 200, f"{socket.gethostname()}.local:80": 200,
    "evil.example": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example:8000": 421, "[evil]": 421, "": 421,
    "evil.example:8000:127.0.0.1": 421, "[::1": 421,
}  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_only_names_of_this_machine_lead_here(client: TestClient, host: str) -> None:
    response = client.get("/health", headers={"Host": host})

    assert response.status_code == HOSTS[host]
    if response.status_code != 200:
        assert "--allowed_hosts" in response.json()["detail"]
        assert response.headers["connection"] == "close"
        assert response.headers["x-content-type-options"] == "nosniff"


ORIGINS = {
    "http://localhost": 200, None: 200, "null": 403, "http://evil.example": 403, "http://localhost:3000": 403,
    "https://localhost.evil.example": 403, "": 403,
}  # fmt: skip


@pytest.mark.parametrize("origin", ORIGINS)
def test_pages_of_others_cannot_post(client: TestClient, origin: str | None) -> None:
    headers = PNG if origin is None else {**PNG, "Origin": origin}

    assert client.post("/predict", content=encode(drawing()), headers=headers).status_code == ORIGINS[origin]


def test_nothing_redirects(client: TestClient) -> None:
    for path in ("/page", "/page/", "/predict/", "/health/", "/docs/"):
        response = client.get(path, follow_redirects=False)
        assert (response.status_code, "location" in response.headers) == (404, False), path


def test_a_length_that_is_said_twice_ends_the_connection(trained: Path) -> None:
    with serving(trained) as (_, address), socket.create_connection(address) as connection:
        head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(f"{head}0\r\n\r\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = connection.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def with_scans(number: int, size: int = 4_096) -> bytes:
    """A progressive JPEG of paper with empty scans at its end."""
    whole = io.BytesIO()
    Image.new("L", (size, size), 255).save(whole, "JPEG", progressive=True)
    content = whole.getvalue()
    return content[:-2] + content[content.rindex(b"\xff\xda") : -2] * number + content[-2:]


def test_scans_are_counted_as_decoders_do() -> None:
    plain = with_scans(0, 16)
    usual = scans(plain)
    hidden = plain.replace(b"\xff\xda", b"\xff\xff\xff\xda")  # with filling before the marker
    thumbnail = b"\xff\xe1" + struct.pack(">H", 402) + b"\xff\xda" * 200

    assert 1 <= usual < 20
    assert scans(with_scans(50, 16)) == usual + 50
    assert scans(hidden) == usual
    assert scans(plain[:2] + thumbnail + plain[2:]) == usual
    assert scans(plain + b"\xff\xda" * 200) == usual  # behind the end
    assert scans(b"\xff\xd8") == scans(b"") == 0


def test_a_picture_of_many_scans_is_not_decoded(
    client: TestClient, own_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = with_scans(MOST_SCANS)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("it is decoded"))
    response = client.post("/predict", content=bomb, headers={"Content-Type": "image/jpeg"})
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "bomb.jpg").write_bytes(bomb)
    table = tmp_path / "table.csv"

    assert response.status_code == 422
    assert "more than 100 scans" in response.json()["detail"]
    assert main(["predict", "--ckpt_path", str(own_run), "--images", str(folder), "--output", str(table)]) == 1
    (row,) = rows_of(table)
    assert row["error"] == "more than 100 scans"


def test_damaged_exif_data_is_not_warned_of(trained: Path) -> None:
    tags = b"".join(struct.pack("<HHII", 0x8000 + number, 2, 100, 0xFFFFFF00) for number in range(5_000))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 5_000) + tags
    picture = encode(drawing().convert("RGB"), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    with serving(trained) as (server, address):
        request = urllib.request.Request(
            "http://{}:{}/predict".format(*address), picture[:2] + segment + picture[2:], {"Content-Type": "image/jpeg"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert len(json.load(answer)["digits"]) == 1
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=20)

    assert err == ""


SHORT = "connections.HEADER_SECONDS, connections.ANSWER_SECONDS, limits.BODY_SECONDS = 1, 3, 1"
HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 4000000\r\n\r\n"
SLOW = {
    "nothing": b"",
    "half a line": b"GET / HT",
    "half a header": b"GET / HTTP/1.1\r\nHost: loc",
    "half a body": HEAD,
}


@pytest.mark.parametrize("some", SLOW)
def test_who_sends_nothing_more_is_let_go(trained: Path, some: str) -> None:
    with serving(trained, SHORT) as (_, address), socket.create_connection(address) as connection:
        connection.sendall(SLOW[some])
        assert ended(connection, 10)
        assert is_well(address)


@pytest.mark.parametrize("begin", [b"GET / HTTP/1.1\r\nX: ", HEAD])
def test_who_drips_is_let_go(trained: Path, begin: bytes) -> None:
    with serving(trained, SHORT) as (_, address), socket.create_connection(address) as connection:
        connection.sendall(begin)
        with pytest.raises(ConnectionError):
            for _ in range(200):
                time.sleep(0.05)
                connection.sendall(b"a")


def test_who_takes_no_answers_is_let_go(trained: Path) -> None:
    with serving(trained, SHORT) as (server, address), socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect(address)
        connection.settimeout(0.5)
        requests = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100
        with pytest.raises(TimeoutError):  # the server stops reading
            for _ in range(1_000):
                connection.sendall(requests)
        time.sleep(4)
        assert sockets_of(server.pid) == 1
        assert is_well(address)


def sockets_of(process: int) -> int:
    """How many TCP sockets of a process there are, the one that listens included."""
    own = {str(link.readlink()) for link in Path(f"/proc/{process}/fd").iterdir()}
    lines = Path(f"/proc/{process}/net/tcp").read_text().splitlines()[1:]
    return sum(f"socket:[{line.split()[9]}]" in own for line in lines)


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


def test_many_bodies_do_not_fill_the_memory() -> None:
    bodies = limits.Bodies()
    size = 2**20

    def half_a_body() -> fastapi.Request:
        sent: Iterator[dict[str, Any]] = iter([{"type": "http.request", "body": bytes(size), "more_body": True}])

        async def receive() -> MutableMapping[str, Any]:
            for message in sent:
                return message
            await asyncio.sleep(3_600)
            return {}

        return fastapi.Request({"type": "http", "headers": [(b"content-type", b"image/png")]}, receive)

    async def hold() -> None:
        async with bodies.read(half_a_body()):
            pass

    async def hold_many() -> list[int]:
        tasks = [asyncio.create_task(hold()) for _ in range(limits.MOST_HELD // size + 20)]
        await asyncio.sleep(0.5)
        assert bodies.held <= limits.MOST_HELD
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return [cast(fastapi.HTTPException, result).status_code for result in results if "too many" in str(result)]

    assert asyncio.run(hold_many()) == [503] * 20
    assert bodies.held == 0


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
    picture = encode(drawing())
    with serving(trained, stuck) as (server, address), socket.create_connection(address) as connection:
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(picture)}"
        connection.sendall(f"{head}\r\n\r\n".encode() + picture)
        assert is_well(address)
        server.send_signal(signal.SIGTERM)
        answer = connection.makefile("rb").read()
        _, err = server.communicate(timeout=20)

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"The server is ending." in answer
    assert (server.returncode, "Traceback" in err) == (0, False)
