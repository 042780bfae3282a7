"""A folder for the Hugging Face Hub has the checkpoint's network, and a card that says what the run recorded."""

import contextlib
import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import yaml

from src.common.errors import UsageError
from src.data.checks import TEST_IMAGES
from src.data.idx import read_idx
from src.export import hub
from src.runs.trained import Trained
from tests.conftest import REPOSITORY, Answer, Cli
from tests.export.conftest import CNN, ONE_EPOCH, export
from tests.faults.runs import change
from tests.refusals.requests import Request, check, files


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "FOLDER"
    assert export(trained, f"{folder}/") == 0
    return folder


def test_the_networks_answers_are_the_checkpoints_to_the_bit(
    folder: Path, trained: Path, digits: Path, tmp_path: Path, cli: Cli
) -> None:
    cnn = [*CNN, "--data.normalization", "standard"]
    assert cli("fit", *ONE_EPOCH, *cnn).code == 0
    run = tmp_path / "lightning_logs" / "version_0"
    assert export(run, f"{tmp_path / 'cnn'}/") == 0

    images = read_idx(digits / TEST_IMAGES)
    for checkpoint, place in ((trained, folder), (run, tmp_path / "cnn")):
        logits, probabilities = Trained.load(str(checkpoint)).answer(images)
        found = hub.load_folder(place)(images)
        assert torch.equal(found[0], logits)
        assert torch.equal(found[1], probabilities)


def test_the_card_says_what_was_recorded_and_its_lines_run_as_written(
    folder: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (folder / hub.CARD).read_text()
    about = json.loads((folder / hub.CONFIG).read_text())
    _, head, body = text.split("---\n")
    (model,) = yaml.safe_load(head)["model-index"]
    assert model["results"][0]["metrics"][0]["value"] == about["test/acc"] == about["correct"] / 70
    (settings,) = re.findall(r"```yaml\n(.*?)```", body, re.DOTALL)
    result = json.loads((trained / "result.json").read_text())
    found = yaml.safe_load(settings)
    assert found["model"]["lr"] == result["config"]["model"]["lr"]
    assert found["best"] == {name: value for name, value in result["best"].items() if name != "checkpoint"}
    assert "distillation" not in found  # it had no teacher
    assert all(digest in body for digest in result["data"]["sha256"].values())

    alone, with_project = re.findall(r"```python\n(.*?)```", body, re.DOTALL)
    assert max(block.count("\n") for block in (alone, with_project)) <= 5
    capsys.readouterr()
    with contextlib.chdir(folder):
        exec(alone, {})
    assert "'linear1.weight': (256, 784)" in capsys.readouterr().out
    names: dict[str, Any] = {}
    with contextlib.chdir(folder.parent):
        exec(with_project, names)
    assert names["probabilities"].shape == (1, 10)


def test_it_names_no_place_of_this_machine_and_may_be_written_again(folder: Path, trained: Path, digits: Path) -> None:
    before = cast(dict[str, bytes], files(folder))
    assert sorted(before) == sorted(hub.NAMES)
    for place in (REPOSITORY, trained, digits, Path.home()):
        assert all(str(place).encode() not in content for content in before.values())
    assert export(trained, str(folder)) == 0
    assert files(folder) == before


def test_a_student_says_how_it_was_taught_and_not_where_its_teacher_lies(own_run: Path, tmp_path: Path) -> None:
    taught = {"temperature": 2.0, "weight": 0.9}
    change(own_run / "checkpoints" / "best.ckpt", "config/distillation", {"teacher": "/home/me/best.ckpt", **taught})
    assert export(own_run, f"{tmp_path / 'student'}/") == 0
    written = cast(dict[str, bytes], files(tmp_path / "student"))

    assert json.loads(written[hub.CONFIG])["training"]["distillation"] == taught
    assert not any(b"/home/me" in content for content in written.values())


@pytest.mark.parametrize(
    ("place", "words", "says"),
    [
        ("mine", "", ("--output mine exists and is not a folder of an export", "mine/digits.onnx")),
        ("mine/README.md/", "", ("--output mine/README.md exists",)),
        ("hub/", "--precision float32", ("--precision float32", ".html")),
    ],
)
def test_where_something_else_is_nothing_is_written(
    place: str, words: str, says: tuple[str, ...], trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("my own")
    before = files(tmp_path)
    with contextlib.chdir(tmp_path):
        check(Answer(export(trained, place, *words.split()), *capsys.readouterr()), Request("", says))
    assert files(tmp_path) == before


def test_what_no_folder_is_made_of_is_refused(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="for an mlp or a cnn"):
        hub.to_hub(Trained.load(str(trained)).network, (28, 28), {"network": {"class_path": "my.Network"}})

    monkeypatch.setattr("src.export.find_spec", lambda name: None)
    says = ("needs safetensors", 'pip install ".[export]"')
    check(Answer(export(trained, f"{tmp_path}/hub/"), *capsys.readouterr()), Request("", says))
    assert not (tmp_path / "hub").exists()
