"""A bad request, in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from src.cli.main import main
from tests.conftest import Answer
from tests.refusals.requests import Request, check, files

Refuse = Callable[[Request], None]


@pytest.fixture
def refuse(
    tmp_path: Path, own_digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Refuse:
    """Make a request in a folder with ``digits``: it gets one sentence and writes nothing."""
    monkeypatch.chdir(own_digits.parent)

    def run(request_: Request) -> None:
        request_.prepare(tmp_path)
        before = files(tmp_path)
        check(Answer(main(request_.words.split()), *capsys.readouterr()), request_)
        assert files(tmp_path) == before

    return run
