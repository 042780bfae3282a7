"""The server: what it answers, what it refuses, how it ends."""

import asyncio
import base64
import errno
import io
import json
import re
import shutil
import signal
import socket
import struct
import sys
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastapi
import pytest
import torch
import uvicorn
from fastapi import HTTPException
from fastapi.testclient import TestClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

from src.cli.main import main
from src.data.datasets import DATASETS
from src.digits.frame import to_digit
from src.predict import read
from src.runs.trained import Trained
from src.serve import app, limits
from tests.chromium import serving
from tests.conftest import Answer
from tests.refusals.requests import RUN, Request, check
from tests.test_export import huge_weights

HOME = "http://localhost"
PNG = {"Content-Type": "image/png"}
HALF = 100  # bytes of a picture, less than it has


def drawing(size: tuple[int, int] = (280, 280)) -> Image.Image:
    """A seven in black on white."""
    image = Image.new("L", size, 255)
    corners = [(size[0] * x, size[1] * y) for x, y in ((0.3, 0.25), (0.7, 0.25), (0.45, 0.8))]
    ImageDraw.Draw(image).line(corners, fill=0, width=max(size) // 14)
    return image


def encode(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def network(trained: Path) -> Trained:
    return Trained.load(str(trained))


@pytest.fixture(scope="module")
def client(network: Trained) -> Iterator[TestClient]:
    with TestClient(app.create_app(network), HOME) as client:
        yield client


def picture_of(answer: dict[str, str]) -> Tensor:
    kind, _, content = answer["picture"].partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        return to_digit(image.copy())


@pytest.mark.parametrize("kind", limits.FORMATS)
def test_a_picture_gets_what_the_network_says(client: TestClient, network: Trained, kind: str) -> None:
    file = encode(drawing(), kind)
    response = client.post("/predict", content=file, headers={"Content-Type": limits.FORMATS[kind]})

    with Image.open(io.BytesIO(file)) as image:
        seen = to_digit(image)
    _, (probabilities,) = network.network(seen[None])
    assert response.status_code == 200
    answer = response.json()
    assert answer["model"] == "MLP 784-256-10, version_0, best"
    (digit,) = answer["digits"]
    assert answer["number"] == str(digit["digit"]) == str(int(probabilities.argmax()))
    assert digit["probabilities"] == pytest.approx(probabilities.tolist(), abs=1e-6)
    assert [digit["confidence"], answer["confidence"]] == pytest.approx([float(probabilities.max())] * 2, abs=1e-6)
    assert digit["box"] == pytest.approx(ImageOps.invert(drawing()).getbbox(), abs=4)
    assert torch.equal(picture_of(digit), seen)


def test_a_number_is_read_as_predict_reads_it(client: TestClient, network: Trained, tmp_path: Path) -> None:
    page = Image.new("L", (560, 280), 255)
    page.paste(drawing(), (0, 0))
    page.paste(drawing().transpose(Image.Transpose.ROTATE_180), (280, 0))
    page.save(tmp_path / "number.png")

    answer = client.post("/predict", content=(tmp_path / "number.png").read_bytes(), headers=PNG).json()
    (reading,) = read([tmp_path / "number.png"], network)
    assert (answer["number"], len(answer["number"])) == (reading.text, 2)
    assert (answer["unsure"], answer["confidence"]) == (reading.unsure, pytest.approx(reading.least_sure.confidence))
    for digit, other in zip(answer["digits"], reading.digits, strict=True):
        assert {**other, "digit": int(other["digit"]), "box": list(other["box"])}.items() <= digit.items()


HEIC = {"Content-Type": "image/heic"}
NEEDS = b"\0\0\0\x1cftypheic"  # how such a file begins


def test_heic_without_its_extra_says_what_to_install(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.common.pictures.formats", lambda: ["PNG"])
    response = client.post("/predict", content=NEEDS + bytes(5 * 1024**2), headers=HEIC)

    assert response.status_code == 415
    assert 'pip install --constraint constraints.txt ".[heic]"' in response.json()["detail"]
    response = client.post("/predict", content=NEEDS + bytes(limits.LARGEST_HEIC), headers=HEIC)
    assert (response.status_code, "as image/heic 16 MB" in response.json()["detail"]) == (413, True)


def test_heic_is_read_in_the_size_of_a_camera(client: TestClient) -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    page = Image.new("L", (5_000, 4_000), 255)
    page.paste(drawing((2_000, 2_000)), (1_000, 500))
    response = client.post("/predict", content=encode(page, "HEIF"), headers=HEIC)

    assert response.status_code == 200
    (digit,) = response.json()["digits"]
    assert digit["box"] == pytest.approx([1_530, 930, 2_470, 2_170], abs=80)


def test_a_checkpoint_outside_of_a_run_does_not_tell_its_folder(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "my.ckpt").write_bytes((trained / "checkpoints" / "best.ckpt").read_bytes())

    assert Trained.load(str(tmp_path / "my.ckpt")).name == "MLP 784-256-10, my"


def test_health_names_the_model(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok", "model": "MLP 784-256-10, version_0, best"}


def test_the_largest_picture_is_taken(client: TestClient) -> None:
    largest = encode(drawing((limits.LARGEST, limits.LARGEST)))

    assert client.post("/predict", content=largest, headers=PNG).status_code == 200


def claiming(width: int, height: int) -> bytes:
    """A PNG file whose header claims a size."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@dataclass
class Refusal:
    """What comes in, and the status and words that go out."""

    body: Callable[[], bytes]
    status: int
    says: str
    kind: str | None = "image/png"


REFUSALS = {
    "too many bytes": Refusal(lambda: bytes(limits.LARGEST_BODY + 1), 413, "at most 4 MB"),
    "too wide": Refusal(lambda: encode(Image.new("1", (4_097, 1))), 413, "4,096 x 4,096 pixels"),
    "too high": Refusal(lambda: encode(Image.new("1", (1, 4_097))), 413, "4,096 x 4,096 pixels"),
    "a bomb": Refusal(lambda: claiming(12_000, 12_000), 413, "4,096 x 4,096 pixels"),
    "a bomb that Pillow refuses": Refusal(lambda: claiming(60_000, 60_000), 413, "4,096 x 4,096 pixels"),
    "no type": Refusal(lambda: encode(drawing()), 415, "Content-Type: image/png", None),
    "a form": Refusal(lambda: b"image=%89PNG", 415, "Content-Type: image/png", "application/x-www-form-urlencoded"),
    "text that is called a picture": Refusal(lambda: b"a seven", 415, "no picture that can be read"),
    "nothing": Refusal(lambda: b"", 415, "no picture that can be read"),
    "a format that starts a program": Refusal(lambda: encode(drawing().convert("RGB"), "EPS"), 415, "no picture"),
    "a picture that ends early": Refusal(lambda: encode(drawing())[:-400], 422, "damaged"),
    "a pixel": Refusal(lambda: encode(Image.new("RGB", (1, 1), "red")), 422, "no ink found"),
    "blank paper": Refusal(lambda: encode(Image.new("L", (280, 280), 255)), 422, "no ink found"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_one_sentence(client: TestClient, name: str) -> None:
    refusal = REFUSALS[name]
    headers = {} if refusal.kind is None else {"Content-Type": refusal.kind}
    response = client.post("/predict", content=refusal.body(), headers=headers)

    assert response.status_code == refusal.status
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["detail"]
    assert refusal.says in response.json()["detail"]
    assert re.fullmatch(r"[A-Z][^\n]*\.", response.json()["detail"])


def test_every_answer_has_the_security_headers(client: TestClient) -> None:
    for path, status in (("/", 200), ("/docs", 200), ("/page/draw.js", 200), ("/health", 200), ("/nowhere", 404)):
        response = client.get(path)
        assert response.status_code == status
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"


def test_nothing_but_the_page_is_served(client: TestClient) -> None:
    for path in (
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/",
        "/page/app.py",
        "/swagger/%2e%2e/core.py",
        "/predict",
    ):
        assert client.get(path).status_code in (404, 405), path


def test_a_mistake_of_ours_stays_inside(network: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: object) -> None:
        raise RuntimeError("/home/somebody/secret")

    monkeypatch.setattr(app, "read_number", fail)
    with TestClient(app.create_app(network), HOME, raise_server_exceptions=False) as client:
        response = client.post("/predict", content=encode(drawing()), headers=PNG)

    assert response.status_code == 500
    assert list(response.json()) == ["detail"]
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.usefixtures("own_run")
def test_logits_that_are_not_finite_are_no_answer(tmp_path: Path) -> None:
    huge_weights(tmp_path)
    with TestClient(app.create_app(Trained.load(str(tmp_path / RUN))), HOME) as client:
        response = client.post("/predict", content=encode(drawing()), headers=PNG)

    assert response.status_code == 500
    assert "not finite" in response.json()["detail"]
    assert str(tmp_path) not in response.text


def request(receive: Callable[[], object], **headers: str) -> fastapi.Request:
    async def wait() -> Any:
        result = receive()
        return await result if asyncio.iscoroutine(result) else result

    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return fastapi.Request({"type": "http", "headers": [(b"content-type", b"image/png"), *raw]}, wait)


async def read_body(some: fastapi.Request) -> bytes:
    async with limits.Bodies().read(some) as body:
        return body


@pytest.mark.parametrize("headers", [{}, {"content_length": "10"}, {"content_length": "²"}])
def test_a_body_without_end_is_refused_while_it_comes_in(headers: dict[str, str]) -> None:
    size, chunks = 65_536, []

    def receive() -> dict[str, object]:
        chunks.append(size)
        return {"type": "http.request", "body": bytes(size), "more_body": True}

    with pytest.raises(HTTPException) as refused:
        asyncio.run(read_body(request(receive, **headers)))

    assert refused.value.status_code == 413
    assert sum(chunks) == limits.LARGEST_BODY + size


def test_a_body_that_is_said_to_be_too_large_is_not_read() -> None:
    with pytest.raises(HTTPException) as refused:
        asyncio.run(read_body(request(lambda: pytest.fail("read"), content_length=str(limits.LARGEST_BODY + 1))))

    assert refused.value.status_code == 413


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0)
    with pytest.raises(HTTPException) as refused:
        asyncio.run(read_body(request(lambda: asyncio.sleep(3_600))))

    assert refused.value.status_code == 408


def test_who_hangs_up_is_no_mistake_of_ours() -> None:
    with pytest.raises(HTTPException) as refused:
        asyncio.run(read_body(request(lambda: {"type": "http.disconnect"})))

    assert refused.value.status_code == 400


PICTURES = [(kind, encode(drawing((20, 20)), name)) for name, kind in limits.FORMATS.items()]
EDITS = st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 12), st.binary(max_size=12)), min_size=1, max_size=4)


@given(picture=st.sampled_from(PICTURES), edits=EDITS, end=st.none() | st.integers(0, 2_000))
@example(picture=PICTURES[3], edits=[(7, 0, b"\x01\x00\x0c")], end=None)  # 65,000 pixels wide, all of a level
@settings(max_examples=150, deadline=None)
def test_a_damaged_picture_is_read_or_refused(
    client: TestClient, picture: tuple[str, bytes], edits: list[tuple[int, int, bytes]], end: int | None
) -> None:
    kind, body = picture
    for at, length, instead in edits:
        body = body[: at % len(body)] + instead + body[at % len(body) + length :] or b"0"

    response = client.post("/predict", content=body[:end], headers={"Content-Type": kind})
    assert response.status_code in (200, 413, 415, 422)


def test_the_description_says_what_is_answered(client: TestClient) -> None:
    post = client.get("/openapi.json").json()["paths"]["/predict"]["post"]

    assert {int(status) for status in post["responses"]} == {200, 408, 413, 415, 422, 500, 503}
    assert tuple(post["requestBody"]["content"]) == limits.TYPES


def begin(address: str, file: bytes) -> socket.socket:
    """Send the first part of a request, and return when the server has it."""
    head = (
        f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\nContent-Length: {len(file)}\r\n\r\n"
    )
    host, port = address.removeprefix("http://").rstrip("/").split(":")
    connection = socket.create_connection((host, int(port)))
    connection.sendall(head.encode() + file[:HALF])
    urllib.request.urlopen(f"{address}health").close()  # comes after it
    return connection


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_request_under_way_end(trained: Path, number: int) -> None:
    file = encode(drawing())
    with serving(trained) as (server, address), begin(address, file) as connection:
        server.send_signal(number)
        while is_listening(connection.getpeername()):
            time.sleep(0.02)
        connection.sendall(file[HALF:])
        answer = connection.makefile("rb").read()
        _, err = server.communicate()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["model"]
    assert (server.returncode, err) == (0, "")


def is_listening(place: tuple[str, int]) -> bool:
    try:
        socket.create_connection(place).close()
    except OSError:
        return False
    return True


def test_a_second_ctrl_c_does_not_wait_for_it(trained: Path) -> None:
    with serving(trained) as (server, address), begin(address, encode(drawing())) as connection:
        server.send_signal(signal.SIGINT)
        while is_listening(connection.getpeername()):
            time.sleep(0.02)
        server.send_signal(signal.SIGINT)
        answer = connection.makefile("rb").read()
        _, err = server.communicate()

    assert b"The server is ending." in answer
    assert (server.returncode, err) == (0, "")


def fashion(folder: Path) -> None:
    path = folder / RUN / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    content["config"]["data"]["dataset"] = "FashionMNIST"
    content["MNISTDataModule"]["classes"] = list(DATASETS["FashionMNIST"].classes)
    torch.save(content, path)


def no_runs(folder: Path) -> None:
    shutil.rmtree(folder / RUN)


SERVE = "serve --ckpt_path best --port"
BAD = {
    "no run yet": Request(f"{SERVE} 0", ("--ckpt_path best", "train one first: python -m src.cli fit"), no_runs),
    "a network for clothes": Request(f"{SERVE} 0", ("best", "T-shirt to Ankle boot", "ten digits"), fashion),
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
