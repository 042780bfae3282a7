"""A server that is reached through somebody's browser: by which names, from which pages, and what it gives away."""

import socket

import pytest
from fastapi.testclient import TestClient

from tests.faults.pictures import saved
from tests.serve.conftest import PNG, drawing

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

    assert client.post("/predict", content=saved(drawing()), headers=headers).status_code == ORIGINS[origin]


def test_a_length_that_is_said_twice_is_refused(client: TestClient) -> None:
    response = client.post("/predict", headers={**PNG, "Content-Length": "5", "Transfer-Encoding": "chunked"})

    assert response.status_code == 400
    assert response.json() == {"detail": "A request may not have both Content-Length and Transfer-Encoding."}
    assert response.headers["connection"] == "close"


def test_nothing_redirects(client: TestClient) -> None:
    for path in ("/page", "/page/", "/predict/", "/health/", "/docs/"):
        response = client.get(path, follow_redirects=False)
        assert (response.status_code, "location" in response.headers) == (404, False), path


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
