"""What ``predict`` refuses in a sentence, and leaves as it was."""

import errno
import os
from pathlib import Path

import pytest

from src.cli.main import main
from tests.conftest import Answer
from tests.faults.calls import Fault, always
from tests.faults.folders import foreign_checkpoint
from tests.faults.runs import BEST_FILE, huge_weights, no_runs
from tests.predict.conftest import predict
from tests.refusals.requests import Request, check, files


def test_logits_that_are_not_finite_are_a_failure(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    huge_weights(here / BEST_FILE)
    before = files(here)

    assert predict("--images", "scans", "--sheet", "saw.png") == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "best.ckpt answers with logits that are not finite" in sentence
    assert "name another checkpoint" in sentence
    assert files(here) == before


def test_a_full_disk_leaves_the_table_that_was_there(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "table.csv").write_text("an earlier one")
    before = files(here)

    monkeypatch.setattr(os, "fsync", Fault(os.fsync, errno.ENOSPC, always))
    assert predict("--images", "scans", "--output", "table.csv") == 1
    assert "table.csv could not be written: No space left on device" in capsys.readouterr().err
    assert files(here) == before


def no_picture(folder: Path) -> None:
    (folder / "empty").mkdir()


BEST = "--ckpt_path best --images scans"
REQUESTS = {
    "no checkpoint yet": Request(BEST, ("--ckpt_path best", "train one first: "), no_runs),
    "a foreign checkpoint": Request(
        "--ckpt_path my.ckpt --images scans", ("my.ckpt", "of this project"), foreign_checkpoint
    ),
    "no pictures named": Request("--ckpt_path best", ("--images is missing",)),
    "a pattern without a match": Request("--ckpt_path best --images scans/*.gif", ("--images scans/*.gif", "matches")),
    "a missing file": Request("--ckpt_path best --images scans/z.png", ("--images scans/z.png", "no such file")),
    "a folder without pictures": Request("--ckpt_path best --images empty", ("--images empty", "no pict"), no_picture),
    "a table that is none": Request(f"{BEST} --output table.txt", ("--output table.txt", ".csv")),
    "a missing folder": Request(f"{BEST} --output a/table.csv", ("--output a/table.csv", "no folder a;")),
    "a sheet that is none": Request(f"{BEST} --sheet saw.jpg", ("--sheet saw.jpg", ".png")),
    "a folder as the sheet": Request(
        f"{BEST} --sheet x.png", ("--sheet x.png is a folder",), lambda folder: (folder / "x.png").mkdir()
    ),
    "a picture as the sheet": Request(
        f"{BEST} --sheet scans/b.png", ("--sheet scans/b.png is one of the pictures to read",)
    ),
    "a flag of another command": Request(f"{BEST} --port 1", ("--port is not known",)),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request_gets_one_sentence_and_writes_nothing(
    name: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request_ = REQUESTS[name]
    request_.prepare(here)
    before = files(here)

    check(Answer(main(["predict", *request_.words.split()]), *capsys.readouterr()), request_)
    assert files(here) == before
