"""Pictures that are none, are damaged or would do harm: each is read, or refused in one sentence."""

import json
import re
import signal
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from src.cli.main import main
from src.common.pictures import MOST_SCANS, scans
from src.serve import limits
from tests.faults.damage import torn
from tests.faults.pictures import EXIF, claiming, paper_with_scans, saved, with_exif, with_segment
from tests.predict.conftest import rows_of
from tests.serve.conftest import drawing, serving

JPEG = {"Content-Type": "image/jpeg"}


@dataclass
class Refusal:
    """What comes in, and the status and words that go out."""

    body: Callable[[], bytes]
    status: int
    says: str
    kind: str | None = "image/png"


REFUSALS = {
    "too many bytes": Refusal(lambda: bytes(limits.LARGEST_BODY + 1), 413, "at most 4 MB"),
    "too wide": Refusal(lambda: saved(Image.new("1", (4_097, 1))), 413, "4,096 x 4,096 pixels"),
    "too high": Refusal(lambda: saved(Image.new("1", (1, 4_097))), 413, "4,096 x 4,096 pixels"),
    "a bomb": Refusal(lambda: claiming(12_000, 12_000), 413, "4,096 x 4,096 pixels"),
    "a bomb that Pillow refuses": Refusal(lambda: claiming(60_000, 60_000), 413, "4,096 x 4,096 pixels"),
    "no type": Refusal(lambda: saved(drawing()), 415, "Content-Type: image/png", None),
    "a form": Refusal(lambda: b"image=%89PNG", 415, "Content-Type: image/png", "application/x-www-form-urlencoded"),
    "text that is called a picture": Refusal(lambda: b"a seven", 415, "no picture that can be read"),
    "nothing": Refusal(lambda: b"", 415, "no picture that can be read"),
    "a format that starts a program": Refusal(lambda: saved(drawing().convert("RGB"), "EPS"), 415, "no picture"),
    "a picture that ends early": Refusal(lambda: saved(drawing())[:-400], 422, "damaged"),
    "a pixel": Refusal(lambda: saved(Image.new("RGB", (1, 1), "red")), 422, "no ink found"),
    "blank paper": Refusal(lambda: saved(Image.new("L", (280, 280), 255)), 422, "no ink found"),
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


PICTURES = [(kind, saved(drawing((20, 20)), name)) for name, kind in limits.FORMATS.items()]
DAMAGED = st.sampled_from(PICTURES).flatmap(lambda picture: st.tuples(st.just(picture[0]), torn(picture[1])))
GIF, GIF_FILE = PICTURES[3]


@given(picture=DAMAGED)
@example(picture=(GIF, GIF_FILE[:7] + b"\x01\x00\x0c" + GIF_FILE[7:]))  # 65,000 pixels wide, all of a level
@settings(max_examples=150, deadline=None)
def test_a_damaged_picture_is_read_or_refused(client: TestClient, picture: tuple[str, bytes]) -> None:
    kind, body = picture
    response = client.post("/predict", content=body, headers={"Content-Type": kind})
    assert response.status_code in (200, 413, 415, 422)


def test_scans_are_counted_as_decoders_do() -> None:
    plain = paper_with_scans(0, 16)
    usual = scans(plain)
    hidden = plain.replace(b"\xff\xda", b"\xff\xff\xff\xda")  # with filling before the marker

    assert 1 <= usual < 20
    assert scans(paper_with_scans(50, 16)) == usual + 50
    assert scans(hidden) == usual
    assert scans(with_segment(plain, EXIF, b"\xff\xda" * 200)) == usual  # in a thumbnail
    assert scans(plain + b"\xff\xda" * 200) == usual  # behind the end
    assert scans(b"\xff\xd8") == scans(b"") == 0


def test_a_picture_of_many_scans_is_not_decoded(
    client: TestClient, own_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = paper_with_scans(MOST_SCANS)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("it is decoded"))
    response = client.post("/predict", content=bomb, headers=JPEG)
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
    tags = [(0x8000 + number, 2, 100, 0xFFFFFF00) for number in range(5_000)]
    picture = with_exif(saved(drawing().convert("RGB"), "JPEG"), tags)
    with serving(trained) as (server, address):
        request = urllib.request.Request("http://{}:{}/predict".format(*address), picture, JPEG)
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert len(json.load(answer)["digits"]) == 1
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=20)

    assert err == ""
