"""A picture that is posted is answered as the network and ``predict`` answer it."""

import base64
import io
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image, ImageOps
from torch import Tensor

from src.digits.frame import to_digit
from src.predict import read
from src.runs.trained import Trained
from src.serve import app, limits
from tests.faults.pictures import saved
from tests.faults.runs import huge_weights
from tests.serve.conftest import HOME, PNG, drawing

HEIC = {"Content-Type": "image/heic"}
NEEDS = b"\0\0\0\x1cftypheic"  # how such a file begins


def picture_of(answer: dict[str, str]) -> Tensor:
    kind, _, content = answer["picture"].partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        return to_digit(image.copy())


@pytest.mark.parametrize("kind", limits.FORMATS)
def test_a_picture_gets_what_the_network_says(client: TestClient, network: Trained, kind: str) -> None:
    file = saved(drawing(), kind)
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
    response = client.post("/predict", content=saved(page, "HEIF"), headers=HEIC)

    assert response.status_code == 200
    (digit,) = response.json()["digits"]
    assert digit["box"] == pytest.approx([1_530, 930, 2_470, 2_170], abs=80)


def test_a_checkpoint_outside_of_a_run_does_not_tell_its_folder(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "my.ckpt").write_bytes((trained / "checkpoints" / "best.ckpt").read_bytes())

    assert Trained.load(str(tmp_path / "my.ckpt")).name == "MLP 784-256-10, my"


def test_health_names_the_model(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok", "model": "MLP 784-256-10, version_0, best"}


def test_the_largest_picture_is_taken(client: TestClient) -> None:
    largest = saved(drawing((limits.LARGEST, limits.LARGEST)))

    assert client.post("/predict", content=largest, headers=PNG).status_code == 200


def test_a_mistake_of_ours_stays_inside(network: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: object) -> None:
        raise RuntimeError("/home/somebody/secret")

    monkeypatch.setattr(app, "read_number", fail)
    with TestClient(app.create_app(network), HOME, raise_server_exceptions=False) as client:
        response = client.post("/predict", content=saved(drawing()), headers=PNG)

    assert response.status_code == 500
    assert list(response.json()) == ["detail"]
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"


def test_logits_that_are_not_finite_are_no_answer(own_run: Path, tmp_path: Path) -> None:
    huge_weights(own_run / "checkpoints" / "best.ckpt")
    with TestClient(app.create_app(Trained.load(str(own_run))), HOME) as client:
        response = client.post("/predict", content=saved(drawing()), headers=PNG)

    assert response.status_code == 500
    assert "not finite" in response.json()["detail"]
    assert str(tmp_path) not in response.text


def test_the_description_says_what_is_answered(client: TestClient) -> None:
    post = client.get("/openapi.json").json()["paths"]["/predict"]["post"]

    assert {int(status) for status in post["responses"]} == {200, 400, 403, 408, 413, 415, 421, 422, 500, 503}
    assert tuple(post["requestBody"]["content"]) == limits.TYPES
