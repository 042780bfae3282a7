"""What a bad request is, and how each one is refused."""

import os
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import Answer
from tests.faults.folders import Prepare

RUN = "lightning_logs/version_0"
FIT = "fit --data.data_dir digits --data.val_size 60 --data.batch_size 32 --trainer.max_epochs 1"


def nothing(folder: Path) -> None:
    pass


@dataclass
class Request:
    """``words`` follow ``python -m src.cli``; ``says`` must all be in the sentence."""

    words: str
    says: tuple[str, ...]
    prepare: Prepare = nothing


def files(folder: Path) -> dict[str, bytes | None]:
    paths = folder.rglob("*")
    return {str(path.relative_to(folder)): path.read_bytes() if os.path.isfile(path) else None for path in paths}  # noqa: PTH113


def check(answer: Answer, request_: Request) -> None:
    assert answer.code == 2
    sentences = answer.err.strip().splitlines()
    assert len(sentences) == 1, answer.err
    assert sentences[0].startswith("error: ")
    assert sentences[0].isprintable()
    assert len(sentences[0]) < 1_100
    for words in request_.says:
        assert words in sentences[0]
