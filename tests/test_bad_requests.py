"""Each bad request ends with exit code 2, one sentence that names the culprit, no traceback, and nothing written."""

import gzip
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from src.cli import main
from src.data.idx import write_idx
from src.data.sources import TRAIN_IMAGES, TRAIN_LABELS
from tests.conftest import Answer, run_process, write_digits

Prepare = Callable[[Path], None]


def config(text: str) -> Prepare:
    return lambda folder: (folder / "bad.yaml").write_text(text) and None


def cut(name: str) -> Prepare:
    def apply(folder: Path) -> None:
        (folder / "digits" / name).write_bytes((folder / "digits" / name).read_bytes()[:-5])

    return apply


def no_labels(folder: Path) -> None:
    (folder / "digits" / TRAIN_LABELS).unlink()


def few_labels(folder: Path) -> None:
    write_idx(folder / "digits" / TRAIN_LABELS, torch.zeros(3, dtype=torch.uint8))


def truncated_checkpoint(folder: Path) -> None:
    torch.save({"state_dict": {}, "config": {}, "MNISTDataModule": {}}, folder / "my.ckpt")
    (folder / "my.ckpt").write_bytes((folder / "my.ckpt").read_bytes()[:-100])


def foreign_checkpoint(folder: Path) -> None:
    torch.save({"state_dict": {"weight": torch.zeros(3)}}, folder / "my.ckpt")


def blocked_folder(folder: Path) -> None:
    (folder / "lightning_logs").write_text("a file where the runs should go")


def nothing(folder: Path) -> None:
    pass


@dataclass
class Request:
    """``words`` follow ``python -m src.cli``; ``says`` must all be in the sentence."""

    words: str
    says: tuple[str, ...]
    prepare: Prepare = nothing


SMALL = "--data.data_dir digits --data.val_size 60 --data.batch_size 32 --trainer.max_epochs 1"
FIT = f"fit {SMALL}"
REQUESTS = {
    "unknown subcommand": Request("fot", ("fot", "fit", "validate", "test")),
    "no subcommand": Request("", ("subcommand", "fit")),
    "unknown flag": Request(f"{FIT} --model.hiden_units [3]", ("--model.hiden_units", "--model.hidden_units?")),
    "abbreviated flag": Request("fit --trainer.max_epoch 3", ("--trainer.max_epoch ", "--trainer.max_epochs?")),
    "unknown key": Request(
        f"{FIT} --config bad.yaml", ("--data.batchsize", "--data.batch_size?"), config("data:\n  batchsize: 3\n")
    ),
    "no config": Request(f"{FIT} --config nowhere.yaml", ("--config", "nowhere.yaml")),
    "broken config": Request(f"{FIT} --config bad.yaml", ("config", "line 2"), config("model: [\n")),
    "wrong type": Request(f"{FIT} --model.lr fast", ("--model.lr", "float", "fast")),
    "wrong type in a config": Request(
        f"{FIT} --config bad.yaml", ("--model.hidden_units", "list", "256"), config("model:\n  hidden_units: 256\n")
    ),
    "unknown choice": Request(f"{FIT} --data.normalization none", ("--data.normalization", "unit", "standard")),
    "a seed that is a word": Request(f"{FIT} --seed_everything true", ("--seed_everything", "whole number")),
    "lr of zero": Request(f"{FIT} --model.lr 0", ("--model.lr", "positive")),
    "dropout of one": Request(f"{FIT} --model.dropout 1", ("--model.dropout", "below 1")),
    "negative dropout": Request(f"{FIT} --model.dropout -0.5", ("--model.dropout", "at least 0")),
    "no hidden layer": Request(f"{FIT} --model.hidden_units []", ("--model.hidden_units", "[256]")),
    "an empty hidden layer": Request(f"{FIT} --model.hidden_units [8,0]", ("--model.hidden_units", "[8, 0]")),
    "an execution of no steps": Request(f"{FIT} --model.steps_per_execution 0", ("--model.steps_per_execution", "1")),
    "a graph of one step": Request(f"{FIT} --model.cuda_graph true", ("--model.cuda_graph", "steps_per_execution 48")),
    "clipping within an execution": Request(
        f"{FIT} --model.steps_per_execution 3 --trainer.gradient_clip_val 1",
        ("--trainer.gradient_clip_val 1", "--model.steps_per_execution 1."),
    ),
    "averaging within an execution": Request(
        f"{FIT} --model.steps_per_execution 3 --trainer.callbacks+=EMAWeightAveraging",
        ("--trainer.callbacks", "--model.steps_per_execution 1."),
    ),
    "a mapped file on the device": Request(
        f"{FIT} --data.memory_map true --data.on_device true", ("--data.memory_map", "--data.on_device")
    ),
    "batch size of zero": Request(f"{FIT} --data.batch_size 0", ("--data.batch_size", "at least 1")),
    "a batch larger than the split": Request(f"{FIT} --data.batch_size 171", ("--data.batch_size", "at most 170")),
    "val_size of everything": Request(f"{FIT} --data.val_size 230", ("--data.val_size", "below the 230")),
    "a folder without data": Request("fit --data.data_dir nowhere", ("--data.data_dir", "nowhere")),
    "a missing file": Request(FIT, (f"digits/{TRAIN_LABELS} is missing",), no_labels),
    "a truncated file": Request(FIT, (f"digits/{TRAIN_IMAGES} is truncated", "complete copy"), cut(TRAIN_IMAGES)),
    "counts that differ": Request(FIT, (TRAIN_IMAGES, "230 images", TRAIN_LABELS, "3 labels"), few_labels),
    "no run yet": Request("test --ckpt_path best", ("--ckpt_path best", "train one first")),
    "no checkpoint named": Request("validate", ("--ckpt_path is missing",)),
    "a missing checkpoint": Request("test --ckpt_path my.ckpt", ("--ckpt_path my.ckpt", "no such file")),
    "a truncated checkpoint": Request("test --ckpt_path my.ckpt", ("my.ckpt", "not a readable"), truncated_checkpoint),
    "a foreign checkpoint": Request("fit --ckpt_path my.ckpt", ("my.ckpt", "of this project"), foreign_checkpoint),
    "an unwritable log folder": Request(FIT, ("lightning_logs", "--trainer.default_root_dir"), blocked_folder),
    "max_epochs below nothing": Request(f"{FIT} --trainer.max_epochs -7", ("max_epochs", "-7")),
    "a limit that leaves no batch": Request(f"{FIT} --trainer.limit_train_batches 0.0001", ("limit_train_batches",)),
}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check(answer: Answer, request_: Request) -> None:
    assert answer.code == 2
    sentences = answer.err.strip().splitlines()
    assert len(sentences) == 1, answer.err
    assert sentences[0].startswith("error: ")
    for words in request_.says:
        assert words in sentences[0]


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Answer, bool]]:
    """Run every request as a process, two at a time; say for each whether it left its folder as it was."""

    def run(item: tuple[int, Request]) -> tuple[Answer, bool]:
        number, request_ = item
        folder = tmp_path_factory.getbasetemp() / f"request{number}"
        write_digits(folder / "digits")
        request_.prepare(folder)
        before = files(folder)
        answer = run_process(*request_.words.split(), cwd=folder)
        return answer, files(folder) == before

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(REQUESTS, pool.map(run, enumerate(REQUESTS.values())), strict=True))


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request_gets_one_sentence_and_writes_nothing(
    name: str, processes: dict[str, tuple[Answer, bool]]
) -> None:
    answer, untouched = processes[name]

    check(answer, REQUESTS[name])
    assert untouched


TRAINED = {
    "another lr on a restored optimizer": Request("fit --ckpt_path last --model.lr 0.5", ("--model.lr 0.5", "0.001")),
    "other executions": Request(
        "fit --ckpt_path last --model.steps_per_execution 3 --trainer.max_epochs 4",
        ("--model.steps_per_execution 3", "last.ckpt has 1"),
    ),
    "another network": Request("test --ckpt_path best --model.hidden_units [3]", ("--model.hidden_units [3]", "[256]")),
    "other classes": Request(
        "test --ckpt_path best --data.dataset FashionMNIST", ("--data.dataset FashionMNIST", "MNIST")
    ),
    "a mapped file that is compressed": Request(
        "test --ckpt_path best --data.data_dir packed --data.memory_map true", (".gz", "--data.memory_map false")
    ),
    "fewer epochs than there are": Request(
        "fit --ckpt_path last --trainer.max_epochs 1", ("--trainer.max_epochs 1", "2 epochs")
    ),
    "a branch without an epoch": Request("fit --ckpt_path best --trainer.max_epochs 2", ("max_epochs 2", "nothing")),
    "images that were trained on": Request(
        "fit --ckpt_path last --data.val_size 100 --trainer.max_epochs 4", ("--data.val_size 100", "has 60")
    ),
    "pixels that the network does not know": Request(
        "test --ckpt_path best --data.normalization standard", ("--data.normalization standard", "has unit")
    ),
    "a run folder without a checkpoint": Request("test --ckpt_path digits", ("--ckpt_path digits", "best.ckpt")),
}


def test_requests_that_do_not_fit_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_digits(tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    assert main([*FIT.split(), "--trainer.max_epochs", "2"]) == 0
    (tmp_path / "packed").mkdir()
    for path in (tmp_path / "digits").iterdir():
        (tmp_path / "packed" / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    before = files(tmp_path)
    for request_ in TRAINED.values():
        capsys.readouterr()
        code = main(request_.words.split())
        check(Answer(code, *capsys.readouterr()), request_)
    assert files(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_log_folder_without_permission_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_digits(tmp_path / "digits")
    (tmp_path / "locked").mkdir(mode=0o500)
    code = main([*FIT.replace("digits", str(tmp_path / "digits")).split(), "--trainer.default_root_dir", "locked"])
    check(Answer(code, *capsys.readouterr()), REQUESTS["an unwritable log folder"])
