"""Runs with pictures, on small synthetic data, and what TensorBoard would show of them."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.conftest import DRAWN, Answer, Cli
from tests.training import checkpoint

OFF = ("--inspection.enabled", "false")
EVERY = ("--inspection.every_n_epochs", "1")


@pytest.fixture
def cli(cli: Cli) -> Cli:
    """With pictures, which other tests leave out."""

    def run(command: str, *words: str) -> Answer:
        return cli(command, *(DRAWN if command == "fit" and "--ckpt_path" not in words else []), *words)

    return run


def shown(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder), size_guidance={"images": 0, "histograms": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def steps(folder: Path, tag: str) -> list[int]:
    return [event.step for event in shown(folder).Images(tag)] if tag in shown(folder).Tags()["images"] else []


def written(folder: Path, tag: str) -> str:
    return b"".join(shown(folder).Tensors(f"{tag}/text_summary")[-1].tensor_proto.string_val).decode()


def best_epoch(folder: Path) -> int:
    return len(checkpoint(folder, "best")["callbacks"]["History"]["epochs"])


def succeeds(answer: Answer) -> bool:
    return (answer.code, answer.err) == (0, "")
