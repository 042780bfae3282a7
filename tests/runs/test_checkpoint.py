"""A checkpoint that is damaged is named, and the one before it goes on; a sound one is not taken for damaged."""

import zipfile
from pathlib import Path

import pytest
import torch

from src.common.errors import UsageError
from src.runs import archive
from src.runs.checkpoint import Checkpoint
from tests.conftest import Cli
from tests.faults.checkpoints import copies, saved, with_pickle
from tests.faults.runs import flip, huge_weights, last


@pytest.mark.parametrize("subcommand", ["fit", "validate", "test"])
def test_a_flipped_bit_is_found_and_named(subcommand: str, cli: Cli, own_run: Path) -> None:
    path = own_run / "checkpoints" / "best.ckpt"
    flip(path)
    answer = cli(subcommand, "--ckpt_path", str(path))

    assert answer.code == 2
    assert f"error: {path} is damaged (the checksum of its part " in answer.err
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize(("command", "file"), [("test", "test.json"), ("validate", "validate.json")])
def test_weights_too_large_for_finite_logits_leave_no_result(command: str, file: str, cli: Cli, own_run: Path) -> None:
    huge_weights(last(own_run))
    answer = cli(command, "--ckpt_path", str(last(own_run)))

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(f"error: {last(own_run)} has weights so large that its logits are not finite")
    assert len(answer.err.splitlines()) == 1
    assert not (own_run / file).exists()


def test_a_checkpoint_in_double_precision_is_one_of_ours(cli: Cli, tmp_path: Path) -> None:
    assert cli("fit", "--trainer.max_epochs", "1", "--trainer.precision", "64-true").code == 0
    assert cli("test", "--ckpt_path", "best").code == 0
    assert cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "2").code == 0


def test_a_checkpoint_that_unpacks_to_more_than_it_is_was_not_written_here(own_run: Path) -> None:
    whole = last(own_run).read_bytes()
    last(own_run).write_bytes(with_pickle(whole, lambda pickled: pickled + bytes(1_000_000), zipfile.ZIP_DEFLATED))

    with pytest.raises(UsageError, match=r"last\.ckpt is not a checkpoint .*: it has parts that are compressed"):
        Checkpoint.read(last(own_run))


def test_a_truncated_checkpoint_is_named(own_run: Path) -> None:
    last(own_run).write_bytes(last(own_run).read_bytes()[:-200])
    with pytest.raises(UsageError, match=r"last\.ckpt is not a readable checkpoint"):
        Checkpoint.read(last(own_run))


TOO_MANY = "it has too many values; name another"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "it holds no settings; name one that fit wrote"),
        ({"config": {"lr": torch.float64}}, "its config has a dtype where a setting should be"),
        ({"config": {"name": "x" * 5_000}}, TOO_MANY),
        ({"config": {"many": [None] * 1_500}}, TOO_MANY),
        ({"config": copies(300, 4)}, TOO_MANY),
    ],
    ids=["no settings", "a type", "a long pickle", "many instructions", "many copies"],
)
def test_a_file_of_another_kind_is_refused(
    content: object, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 4_000)
    monkeypatch.setattr(archive, "MOST_INSTRUCTIONS", 1_000)
    (tmp_path / "my.ckpt").write_bytes(saved(content))
    with pytest.raises(UsageError, match=rf"my\.ckpt is not a checkpoint of this project: {says}"):
        Checkpoint.read(tmp_path / "my.ckpt")


@pytest.mark.parametrize("request_", ["last", "version_0"])
def test_training_goes_on_from_the_checkpoint_before_a_damaged_last_one(
    request_: str, cli: Cli, own_run: Path, trained: Path
) -> None:
    flip(last(own_run))
    answer = cli("fit", "--ckpt_path", request_ if request_ == "last" else str(own_run), "--trainer.max_epochs", "2")

    assert answer.code == 0
    previous = own_run / "checkpoints" / "last.prev.ckpt"
    assert answer.err == f"warning: {last(own_run)} is damaged; using {previous}, the checkpoint before it.\n"
    again, uninterrupted = (Checkpoint.read(last(run)).content for run in (own_run, trained))
    assert again["epoch"] == uninterrupted["epoch"] == 1
    for name, weight in uninterrupted["state_dict"].items():
        assert weight.equal(again["state_dict"][name])
    assert Checkpoint.read(own_run / "checkpoints" / "last.prev.ckpt").content["epoch"] == 0


def test_evaluation_takes_the_checkpoint_before_a_damaged_last_one(cli: Cli, own_run: Path) -> None:
    flip(last(own_run))

    answer = cli("test", "--ckpt_path", "last")
    assert answer.code == 0
    assert "last.prev.ckpt" in answer.err
    assert "last.prev.ckpt" in (own_run / "test.json").read_text()
    assert cli("test", "--ckpt_path", str(last(own_run))).code == 2
    flip(own_run / "checkpoints" / "last.prev.ckpt")
    assert "last.prev.ckpt is damaged" in cli("test", "--ckpt_path", "last").err
