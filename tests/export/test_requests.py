"""Requests that ``export`` refuses: checkpoints, data and places that it cannot use."""

from functools import partial
from pathlib import Path

import pytest

from src.cli.main import main
from src.data.checks import TEST_IMAGES
from tests.conftest import TEST_SIZE, Answer
from tests.export.conftest import export, metadata_of
from tests.faults.folders import foreign_checkpoint, truncated_checkpoint
from tests.faults.runs import best_with, no_runs
from tests.refusals.requests import Request, check, files

with_data = partial(best_with, "config/data")
move_data = best_with("config/data/data_dir", "gone/digits")


def no_test_images(folder: Path) -> None:
    (folder / "digits" / TEST_IMAGES).unlink()


def onnx_folder(folder: Path) -> None:
    (folder / "model.onnx").mkdir()


BEST = "--ckpt_path best"
UNNAMED = ("best.ckpt does not say which data set",)
REQUESTS = {
    "no checkpoint yet": Request(f"{BEST} --output model.onnx", ("--ckpt_path best", "train one first: "), no_runs),
    "a foreign checkpoint": Request("--ckpt_path my.ckpt --output m.pt2", ("of this project",), foreign_checkpoint),
    "a damaged checkpoint": Request("--ckpt_path my.ckpt --output m.pt2", ("not a readable",), truncated_checkpoint),
    "no output": Request(BEST, ("--output is missing",)),
    "an unknown extension": Request(f"{BEST} --output model.h5", ("--output model.h5", ".onnx", ".pt2")),
    "no extension": Request(f"{BEST} --output model", ("--output model:", ".onnx", ".pt2")),
    "a missing folder": Request(f"{BEST} --output a/b/model.onnx", ("--output a/b/model.onnx", "no folder a/b;")),
    "a file as the folder": Request(f"{BEST} --output digits/{TEST_IMAGES}/m.pt2", ("no folder digits/",)),
    "a folder": Request(
        f"{BEST} --output digits", ("--output digits exists and is not a folder of an export", "digits/digits.onnx")
    ),
    "a file of Keras": Request(
        f"{BEST} --output model.h5", (".onnx or .pt2 or .html or / (a folder for the Hugging Face Hub).",)
    ),
    "a folder with the extension": Request(f"{BEST} --output model.onnx", ("model.onnx is a folder",), onnx_folder),
    "a long name": Request(f"{BEST} --output {'m' * 300}.pt2", ("m.pt2: File name too long", "shorter")),
    "a name that is too long as a temporary one": Request(f"{BEST} --output {'m' * 250}.pt2", ("mm.pt2", "shorter")),
    "data that has moved": Request(f"{BEST} --output m.pt2", ("gone/digits is not there", "--data_dir"), move_data),
    "an unknown data set": Request(
        f"{BEST} --output m.pt2", UNNAMED, with_data({"dataset": "MINST", "data_dir": None})
    ),
    "a list of data sets": Request(f"{BEST} --output m.pt2", UNNAMED, with_data({"dataset": [], "data_dir": None})),
    "a number for a folder": Request(f"{BEST} --output m.pt2", UNNAMED, with_data({"dataset": "MNIST", "data_dir": 5})),
    "no settings of the data": Request(
        f"{BEST} --output m.pt2", ("config.data.dataset is missing",), with_data("MNIST")
    ),
    "missing test images": Request(
        f"{BEST} --output m.pt2 --data_dir digits", (TEST_IMAGES, " --data_dir needs"), no_test_images
    ),
    "another folder without data": Request(
        f"{BEST} --output m.pt2 --data_dir lightning_logs", ("--data_dir lightning_logs has no files of MNIST",)
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request_gets_one_sentence_and_writes_nothing(
    name: str,
    tmp_path: Path,
    own_run: Path,
    own_digits: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    request_ = REQUESTS[name]
    request_.prepare(tmp_path)
    before = files(tmp_path)
    monkeypatch.chdir(tmp_path)

    check(Answer(main(["export", *request_.words.split()]), *capsys.readouterr()), request_)
    assert files(tmp_path) == before


def test_data_that_has_moved_is_found_by_its_flag(
    output: Path, tmp_path: Path, own_run: Path, own_digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_data(tmp_path)
    monkeypatch.chdir(tmp_path)

    assert export("best", output, "--data_dir", "digits") == 0
    assert metadata_of(output)["samples"] == TEST_SIZE
