"""Each bad request ends with exit code 2, one sentence that names the culprit, no traceback, and nothing written."""

import errno
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from src.cli.main import main
from src.cli.messages import explain
from src.data.checks import TRAIN_IMAGES, TRAIN_LABELS
from src.data.idx import write_idx
from tests.conftest import REPOSITORY, Answer, Cli, run_process
from tests.faults.configs import laughs

pytestmark = pytest.mark.slow

Prepare = Callable[[Path], None]


def config(text: str) -> Prepare:
    def prepare(folder: Path) -> None:
        (folder / "bad.yaml").write_text(text)

    return prepare


def not_utf8(folder: Path) -> None:
    (folder / "bad.yaml").write_bytes("model:\n  lr: 0.1  # d\u00e9faut\n".encode("latin-1"))


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


def link(name: str, target: str) -> Prepare:
    return lambda folder: (folder / name).symlink_to(target)


def configs(folder: Path) -> None:
    (folder / "configs").mkdir()
    (folder / "configs" / "mlp.yaml").touch()


def checkpoints(folder: Path) -> None:
    (folder / "a" / "checkpoints").mkdir(parents=True)


def runs(folder: Path) -> None:
    for number in (0, 1):
        (folder / "lightning_logs" / f"version_{number}").mkdir(parents=True)


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
FOLDS = f"fit {SMALL.replace('--data.val_size 60 ', '')} --data.folds"
REQUESTS = {
    "unknown subcommand": Request("fot", ("fot is not a command", "fit, validate", "sweep")),
    "no subcommand": Request("", ("name a command: fit,", "predict", "data")),
    "unknown flag": Request(f"{FIT} --model.hiden_units [3]", ("--model.hiden_units", "--model.hidden_units?")),
    "abbreviated flag": Request("fit --trainer.max_epoch 3", ("--trainer.max_epoch ", "--trainer.max_epochs?")),
    "unknown key": Request(
        f"{FIT} --config bad.yaml", ("--data.batchsize", "--data.batch_size?"), config("data:\n  batchsize: 3\n")
    ),
    "no config": Request(
        f"{FIT} --config nowhere/n.yaml", ("--config nowhere/n.yaml: no such file; run in the project's folder",)
    ),
    "a config of another name": Request(
        f"{FIT} --config my/mpl.yaml", ("--config my/mpl.yaml: no such file; did you mean configs/mlp.yaml?",), configs
    ),
    "no config of a part": Request(f"{FIT} --model my.yaml", ("--model my.yaml: no such file",)),
    "a broken config of a part": Request(
        f"{FIT} --model bad.yaml", ("--model", "bad.yaml", "line 2"), config("lr: [\n")
    ),
    "a folder for a config": Request(f"{FIT} --config digits", ("--config digits is a folder: name a file",)),
    "broken config": Request(f"{FIT} --config bad.yaml", ("config", " at line 2"), config("model: [\n")),
    "a config without its flag": Request("fit my.yaml", ("my.yaml has no flag before it", "--config my.yaml?")),
    "a run without its flag": Request("test a", ("a has no flag before it", "--ckpt_path a?"), checkpoints),
    "a picture without its flag": Request("predict --ckpt_path best my.png", ("did you mean --images my.png?",)),
    "a word without a flag": Request("fit again", ("unrecognized arguments: again",)),
    "a checkpoint without its flag": Request(
        "test best", ("best has no flag before it; did you mean --ckpt_path best?",)
    ),
    "a folder of pictures without its flag": Request(
        "predict --ckpt_path best digits", ("digits has no flag before it; did you mean --images digits?",)
    ),
    "pictures without a name": Request("predict --ckpt_path best --images", ("--images needs a value.",)),
    "a seed of another command": Request("serve --seed 3", ("--seed is not known; see --help.",)),
    "a flag without its value": Request(f"{FIT} --config", ("--config needs a value.",)),
    "a flag of a sweep without its value": Request("sweep --space", ("--space needs a value.",)),
    "a seed as elsewhere": Request("fit --seed 3", ("--seed is not known", "--seed_everything?")),
    "an lr as elsewhere": Request("fit --model.learning_rate 3", ("--model.learning_rate ", "--model.lr?")),
    "a misspelt callback": Request(
        f"{FIT} --trainer.callbacks+=EarlyStoping", ("--trainer.callbacks: there is no EarlyStoping", "EarlyStopping?")
    ),
    "no callback": Request(
        f"{FIT} --trainer.callbacks+=src.nowhere.Nothing", ("src.nowhere.Nothing cannot be imported as such a class",)
    ),
    "a callback without what it needs": Request(
        f"{FIT} --trainer.callbacks+=EarlyStopping", ("--trainer.callbacks.monitor is missing: the class needs it.",)
    ),
    "an argument without its callback": Request(
        f"{FIT} --trainer.callbacks.monitor=val/loss",
        ("--trainer.callbacks.monitor does not fit: it follows the class",),
    ),
    "a config that is no YAML": Request(
        f"{FIT} --config bad.yaml", ("--config ", "bad.yaml is not YAML: mapping values"), config("a text: of\n b: c\n")
    ),
    "no epochs": Request(f"{FIT} --trainer.max_epochs 0", ("--trainer.max_epochs 0 leaves nothing to train",)),
    "no steps": Request(f"{FIT} --trainer.max_steps 0", ("--trainer.max_steps 0 leaves nothing to train",)),
    "wrong type": Request(f"{FIT} --model.lr fast", ("--model.lr", "Expected a number", "fast")),
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
    "validation after each batch of an execution": Request(
        f"{FIT} --model.steps_per_execution 3 --trainer.val_check_interval 1", ("--trainer.val_check_interval 1 ",)
    ),
    "one batch of an execution": Request(
        f"{FIT} --model.steps_per_execution 3 --trainer.limit_train_batches 1", ("--trainer.limit_train_batches 1 ",)
    ),
    "a mapped file on the device": Request(
        f"{FIT} --data.memory_map true --data.on_device true", ("--data.memory_map", "--data.on_device")
    ),
    "batch size of zero": Request(f"{FIT} --data.batch_size 0", ("--data.batch_size", "at least 1")),
    "a batch larger than the split": Request(f"{FIT} --data.batch_size 171", ("--data.batch_size", "at most 170")),
    "a fold beyond the last": Request(
        f"{FOLDS} 10 --data.fold 10", ("--data.folds 10 must be at least 2, and --data.fold 10 one of them",)
    ),
    "a fold before the first": Request(f"{FOLDS} 10 --data.fold -1", ("--data.fold -1 one of them, counted from 0.",)),
    "folds without the one that validates": Request(
        f"{FOLDS} 10", ("--data.fold None and --data.folds 10 need each other: say which part",)
    ),
    "a fold of nothing": Request(f"{FIT} --data.fold 3", ("--data.fold 3 and --data.folds None need each other",)),
    "one fold": Request(f"{FOLDS} 1 --data.fold 0", ("--data.folds 1 must be at least 2",)),
    "folds and a number of images": Request(
        f"{FIT} --data.fold 3 --data.folds 10",
        ("--data.val_size 60 does not go with --data.folds 10: leave it out, or at 12000",),
    ),
    "more folds than images": Request(f"{FOLDS} 231 --data.fold 0", ("--data.folds 231 is more than the 230",)),
    "val_size of everything": Request(f"{FIT} --data.val_size 230", ("--data.val_size", "below the 230")),
    "a folder without data": Request("fit --data.data_dir nowhere", ("--data.data_dir", "nowhere")),
    "a missing file": Request(FIT, (f"digits/{TRAIN_LABELS} is missing",), no_labels),
    "a truncated file": Request(FIT, (f"digits/{TRAIN_IMAGES} is truncated", "complete copy"), cut(TRAIN_IMAGES)),
    "counts that differ": Request(FIT, (TRAIN_IMAGES, "230 images", TRAIN_LABELS, "3 labels"), few_labels),
    "no samples": Request(f"{FIT} --inspection.samples 0", ("--inspection.samples", "from 1 to the 60 val")),
    "more samples than there are": Request(f"{FIT} --inspection.samples 61", ("--inspection.samples", "60", "got 61")),
    "negative epochs": Request(f"{FIT} --inspection.every_n_epochs -1", ("--inspection.every_n_epochs", "0 or more")),
    "a switch that is a word": Request(f"{FIT} --inspection.enabled often", ("--inspection.enabled", "often")),
    "a size that is no number": Request(f"{FIT} --data.val_size .nan", ("--data.val_size", "nan")),
    "a mean that is no number": Request(
        f"{FIT} --data.normalization [.nan,1.0]", ("--data.normalization [mean, std] needs two numbers", "nan")
    ),
    "no run yet": Request("test --ckpt_path best", ("--ckpt_path best", "train one first")),
    "no checkpoint named": Request("validate", ("--ckpt_path is missing: give a checkpoint",)),
    "no picture named": Request("predict", ("--images is missing; see --help.",)),
    "best, nearly": Request("test --ckpt_path bset", ("--ckpt_path bset: no such", "a run folder, best or last.")),
    "a folder that is no run": Request("test --ckpt_path .", ("has no checkpoints/best.ckpt", "name another run.")),
    "no such run": Request(
        "test --ckpt_path lightning_logs/version_7", ("no such", "the newest run is lightning_logs/version_1."), runs
    ),
    "a missing checkpoint": Request("test --ckpt_path my.ckpt", ("--ckpt_path my.ckpt", "no such file")),
    "a truncated checkpoint": Request("test --ckpt_path my.ckpt", ("my.ckpt", "not a readable"), truncated_checkpoint),
    "a foreign checkpoint": Request("fit --ckpt_path my.ckpt", ("my.ckpt", "of this project"), foreign_checkpoint),
    "an unwritable log folder": Request(FIT, ("lightning_logs", "--trainer.default_root_dir"), blocked_folder),
    "a config of another encoding": Request(f"{FIT} --config bad.yaml", ("--config bad.yaml", "UTF-8"), not_utf8),
    "a part's config of another encoding": Request(f"{FIT} --model bad.yaml", ("UTF-8",), not_utf8),
    "an empty config": Request(f"{FIT} --config bad.yaml", ("--config bad.yaml", "no settings"), config("")),
    "a config that makes an object": Request(
        f"{FIT} --config bad.yaml",
        ("--config bad.yaml", "python/object/apply:os.mkdir", "line 2"),
        config("model:\n  lr: !!python/object/apply:os.mkdir [pwned]\n"),
    ),
    "a config that makes a tuple": Request(
        f"{FIT} --config bad.yaml", ("bad.yaml", "python/tuple"), config("model:\n  hidden_units: !!python/tuple [8]\n")
    ),
    "a value of another kind than its tag": Request(
        f"{FIT} --config bad.yaml", ("bad.yaml", "the way it is written"), config("model:\n  lr: !!timestamp x\n")
    ),
    "a number without digits": Request(
        f"{FIT} --config bad.yaml", ("bad.yaml", "not fit the way it is written"), config("model:\n  lr: 0b_\n")
    ),
    "a number of 5,000 digits": Request(
        f"{FIT} --config bad.yaml", ("bad.yaml", "too long"), config(f"seed_everything: 0x{'f' * 5_000}\n")
    ),
    "a null character": Request(
        f"{FIT} --config bad.yaml", ("bad.yaml", "null character"), config('data:\n  data_dir: "a\\0b"\n')
    ),
    "lists so deep that PyYAML crashes": Request(
        f"{FIT} --config bad.yaml", ("bad.yaml", "too deep"), config(f"model:\n  hidden_units: {'[' * 100_000}\n")
    ),
    "a list that holds itself": Request(
        f"{FIT} --config bad.yaml", ("bad.yaml", "too many"), config("model:\n  hidden_units: &a [*a]\n")
    ),
    "a few lines that stand for a billion values": Request(
        f"{FIT} --config bad.yaml", ("bad.yaml", "too many"), config(laughs(depth=9))
    ),
    "a flag so long that PyYAML crashes": Request(
        f"{FIT} --model.hidden_units {'[' * 100_000}", ("3,500 characters", "--config")
    ),
    "a flag with a tag": Request(
        f"{FIT} --data.on_device=!!timestamp_x", ("--data.on_device=!!timestamp_x", "plainly")
    ),
    "a flag of deep lists": Request(f"{FIT} --trainer.max_epochs {'[' * 200}", ("--trainer.max_epochs", "[[[")),
    "a setting without a value": Request(
        f"{FIT} --config bad.yaml", ("--model.lr", "a number", "null"), config("model:\n  lr:\n")
    ),
    "a setting of the pictures without a value": Request(
        f"{FIT} --config bad.yaml", ("--inspection.every_n_epochs", "null"), config("inspection:\n  every_n_epochs:\n")
    ),
    "a value in the place of settings": Request(
        f"{FIT} --config bad.yaml", ("--model needs settings below it",), config("model: 3\n")
    ),
    "a value in the place of settings within settings": Request(
        f"{FIT} --config bad.yaml", ("--data.distortion needs settings",), config("data:\n  distortion: false\n")
    ),
    "nothing in the place of settings": Request(
        f"{FIT} --config bad.yaml",
        ("--checkpoints needs settings",),
        config("checkpoints:\ninspection:\n  samples: 3\n"),
    ),
    "an endless limit": Request(f"{FIT} --trainer.overfit_batches inf", ("--trainer.overfit_batches", "inf")),
    "a value that clears the screen": Request(
        f"{FIT} --config bad.yaml", ("--data.split", "\\x1b[2J"), config('data:\n  split: "\\e[2J"\n')
    ),
    "a value of 3,000 characters": Request(f"{FIT} --data.split {'x' * 3_000}", ("--data.split", "tail", " ... ")),
    "a name that is too long": Request(f"test --ckpt_path {'x' * 300}", ("File name too long", "name another place")),
    "a link to itself": Request(
        "test --ckpt_path loop", ("loop: Too many levels", "name another place"), link("loop", "loop")
    ),
    "a link to nothing": Request("test --ckpt_path link", ("--ckpt_path link", "no such"), link("link", "nowhere")),
    "a log folder that links to nothing": Request(
        FIT, ("lightning_logs cannot be written", "broken link"), link("lightning_logs", "nowhere/logs")
    ),
    "runs behind a link to nothing": Request(
        "test --ckpt_path best", ("--ckpt_path best", "train one first"), link("lightning_logs", "nowhere/logs")
    ),
    "runs behind a link to itself": Request(
        "test --ckpt_path best",
        ("lightning_logs: Too many levels", "name another place"),
        link("lightning_logs", "lightning_logs"),
    ),
    "runs in a file": Request("test --ckpt_path last", ("lightning_logs: Not a directory",), blocked_folder),
    "a root that is a file": Request(
        f"{FIT} --trainer.default_root_dir my",
        ("my/lightning_logs", "Not a directory"),
        lambda folder: (folder / "my").touch(),
    ),
    "a data set's name that climbs": Request(
        f"{FIT} --data.dataset ../MNIST", ("--data.dataset", "../MNIST", "KMNIST")
    ),
    "a layer larger than the memory": Request(
        f"{FIT} --model.hidden_units [100000000000]", ("--model.hidden_units [100000000000]", "at least 800 GB")
    ),
    "a layer larger than any number": Request(
        f"{FIT} --model.hidden_units [1{'0' * 30}]", ("--model.hidden_units", "memory")
    ),
    "half a unit": Request(f"{FIT} --model.hidden_units [8.5]", ("--model.hidden_units", "a whole number", "8.5")),
    "a number or nothing": Request(
        f"{FIT} --trainer.max_epochs many", ("--trainer.max_epochs", "a whole number, null")
    ),
    "epochs, as in Keras": Request(f"{FIT} --epochs 3", ("--epochs is not known", "--trainer.max_epochs?")),
    "a flag without its part": Request(f"{FIT} --lr 3", ("--lr is not known", "--model.lr?")),
    "a flag like no other": Request("--version", ("--version is not known; see --help.",)),
    "an unknown accelerator": Request(f"{FIT} --trainer.accelerator foo", ("--trainer.accelerator", "foo", "cpu")),
    "an unknown strategy": Request(f"{FIT} --trainer.strategy foo", ("--trainer.strategy", "foo", "ddp")),
    "half a device": Request(f"{FIT} --trainer.devices 3.5", ("--trainer.devices",)),
    "no node": Request(f"{FIT} --trainer.num_nodes 0", ("--trainer.num_nodes", "0")),
    "an unknown profiler": Request(f"{FIT} --trainer.profiler foo", ("--trainer.profiler", "simple")),
    "no batch to accumulate": Request(
        f"{FIT} --trainer.accumulate_grad_batches 0", ("--trainer.accumulate_grad_batches must be at least 1, got 0",)
    ),
    "validation every zero epochs": Request(
        f"{FIT} --trainer.check_val_every_n_epoch 0", ("--trainer.check_val_every_n_epoch must be at least 1, got 0",)
    ),
    "validation after the epoch": Request(
        f"{FIT} --trainer.val_check_interval 7", ("--trainer.val_check_interval 7", "6 batches")
    ),
    "max_epochs below nothing": Request(f"{FIT} --trainer.max_epochs -7", ("max_epochs", "-7")),
    "a limit that leaves no batch": Request(f"{FIT} --trainer.limit_train_batches 0.0001", ("limit_train_batches",)),
}


# the rest runs in this process, which is faster
PROCESSES = ("no subcommand", "unknown flag", "a config of another encoding", "a missing file", "no run yet")


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


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request_gets_one_sentence_and_writes_nothing(
    name: str, tmp_path: Path, own_digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    request_ = REQUESTS[name]
    request_.prepare(tmp_path)
    before = files(tmp_path)
    monkeypatch.chdir(tmp_path)
    if name in PROCESSES:
        answer = run_process(*request_.words.split(), cwd=tmp_path)
    else:
        answer = Answer(main(request_.words.split()), *capsys.readouterr())

    check(answer, request_)
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "way_out"),
    [(("src/cli", "fit"), "python -m src.cli"), (("-S", "-m", "src.cli", "fit"), "source .venv/bin/activate")],
)
def test_a_wrong_start_is_told_how_to_start(words: tuple[str, ...], way_out: str) -> None:
    answer = subprocess.run([sys.executable, *words], cwd=REPOSITORY, capture_output=True, text=True)  # -S: no packages

    assert answer.returncode == 2
    assert answer.stderr.startswith("error: ") and way_out in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_the_traceback_of_a_refusal_is_shown_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_TRACEBACK", "1")
    answer = run_process(*FIT.split(), "--model.lr", "0")

    assert answer.code == 2
    assert "Traceback (most recent call last)" in answer.err
    assert answer.err.strip().splitlines()[-1].startswith("error: --model.lr must be")


RUN = "lightning_logs/version_0"


def no_best(folder: Path) -> None:
    (folder / RUN / "checkpoints" / "best.ckpt").unlink()


TRAINED = {
    "another lr on a restored optimizer": Request("fit --ckpt_path last --model.lr 0.5", ("--model.lr 0.5", "0.001")),
    "other executions": Request(
        "fit --ckpt_path last --model.steps_per_execution 3 --trainer.max_epochs 4",
        ("--model.steps_per_execution 3", "last.ckpt, which has 1"),
    ),
    "another network": Request("test --ckpt_path best --model.hidden_units [3]", ("--model.hidden_units [3]", "[256]")),
    "other classes": Request(
        "test --ckpt_path best --data.dataset FashionMNIST", ("--data.dataset FashionMNIST", "MNIST")
    ),
    "a mapped file that is compressed": Request(
        "test --ckpt_path best --data.data_dir packed --data.memory_map true", (".gz", "--data.memory_map false")
    ),
    "more samples than the test has": Request(
        "test --ckpt_path best --inspection.samples 71", ("--inspection.samples", "70 test", "got 71")
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
    "best without validation": Request(
        "test --ckpt_path best", ("best.ckpt", f"use {RUN}/checkpoints/last.ckpt"), no_best
    ),
    "a run without validation": Request(
        f"test --ckpt_path {RUN}", ("checkpoints/best.ckpt", f"use {RUN}/checkpoints/last.ckpt"), no_best
    ),
}


@pytest.mark.parametrize("name", TRAINED)
def test_requests_that_do_not_fit_the_checkpoint(
    name: str,
    tmp_path: Path,
    own_run: Path,
    own_digits: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "packed").mkdir()
    for path in own_digits.iterdir():
        (tmp_path / "packed" / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    TRAINED[name].prepare(tmp_path)
    before = files(tmp_path)
    monkeypatch.chdir(tmp_path)

    check(Answer(main(TRAINED[name].words.split()), *capsys.readouterr()), TRAINED[name])
    assert files(tmp_path) == before


def refusing(monkeypatch: pytest.MonkeyPatch, function: str, path: Path, number: int = errno.EACCES) -> None:
    """Let a function of os fail for a path and what lies in it, as it would for a user who is not root."""
    original = getattr(os, function)

    def refuse(name: object, *arguments: object, **keywords: object) -> object:
        if isinstance(name, str | Path) and Path(name).absolute().is_relative_to(path):
            raise OSError(number, os.strerror(number), str(name))
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(os, function, refuse)


@pytest.mark.parametrize("name", ["best", "version_0"])
def test_a_run_that_may_not_be_looked_into_is_named(
    name: str, cli: Cli, own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(monkeypatch, "stat", own_run / "checkpoints")
    answer = cli("test", "--ckpt_path", "best" if name == "best" else str(own_run))

    check(answer, Request("", (f"{own_run}/checkpoints/best.ckpt: Permission denied", "permissions")))


def test_a_checkpoint_that_may_not_be_read_is_not_called_damaged(
    cli: Cli, own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = own_run / "checkpoints" / "best.ckpt"

    refusing(monkeypatch, "open", path)
    answer = cli("test", "--ckpt_path", str(path))

    check(answer, Request("", (f"{path}: Permission denied",)))
    assert "damaged" not in answer.err


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_resuming_in_a_run_that_may_not_be_written_names_it(
    number: int, cli: Cli, own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(own_run)
    refusing(monkeypatch, "open", own_run / ".lock", number)
    answer = cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "3")

    check(answer, Request("", (f"{own_run}/.lock: {os.strerror(number)}",)))
    assert files(own_run) == before


def test_a_result_that_may_not_be_kept_is_still_shown(cli: Cli, own_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(monkeypatch, "mkdir", own_run)
    refusing(monkeypatch, "rename", own_run)
    refusing(monkeypatch, "replace", own_run)
    answer = cli("test", "--ckpt_path", "best")

    check(answer, Request("", (f"{own_run}/test.json: Permission denied",)))
    assert answer.out.startswith("test/acc: ")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        *((errno.ENOSPC, 1), (errno.EDQUOT, 1), (errno.EFBIG, 1), (errno.EIO, 1), (errno.ESTALE, 1)),
        *((errno.ENOTDIR, 2), (errno.EISDIR, 2), (errno.ENOLCK, 2)),
    ],
)
def test_what_the_disk_refuses_is_a_sentence_with_the_file(number: int, code: int) -> None:
    told = explain(OSError(number, os.strerror(number), "some/file"))

    assert told is not None
    assert told[1] == code
    assert "some/file" in told[0]
    assert explain(OSError(errno.EBADF, "Bad file descriptor", "some/file")) is None
    assert explain(KeyError("ours")) is None


def test_a_network_is_as_large_as_its_kind_makes_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.cli.refusals.memory_bytes", lambda: 1e6)  # the weights of mlp are 814,120
    request = ["--trainer.fast_dev_run", "1", "--model.hidden_units", "[256]"]

    assert cli("fit", *request).code == 0
    refused = cli("fit", *request, "--model.network", "cnn")
    assert refused.code == 2
    assert "--model.hidden_units [256]: the weights take at least" in refused.err


def test_too_little_memory_is_a_sentence() -> None:
    with pytest.raises(RuntimeError) as failure:
        torch.empty(1 << 60, dtype=torch.uint8)
    sentence, code = explain(failure.value) or ("", 0)

    assert code == 2
    assert "not enough memory" in sentence
    assert explain(MemoryError()) == (sentence, code)


@pytest.fixture
def unprivileged(digits: Path) -> Iterator[Path]:
    """A folder with data and an empty log folder, for one who may do what permissions allow; root becomes one."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(digits, folder / "digits", copy_function=shutil.copy)
        (folder / "digits").chmod(0o755)
        (folder / "lightning_logs").mkdir()
        if root:
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            (folder / "lightning_logs").chmod(0o755)


NOBODY = 65_534


@pytest.mark.parametrize(
    ("mode", "words", "says"),
    [
        (0o000, "test --ckpt_path best", ("lightning_logs: Permission denied", "change its permissions")),
        (0o000, FIT, ("lightning_logs cannot be written (Permission denied)", "--trainer.default_root_dir")),
        (0o500, FIT, ("lightning_logs cannot be written (Permission denied)", "--trainer.default_root_dir")),
    ],
)
def test_a_log_folder_without_permission_is_named(
    mode: int,
    words: str,
    says: tuple[str, ...],
    unprivileged: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(unprivileged)
    user = os.geteuid()
    os.seteuid(os.getuid())
    Path("lightning_logs").chmod(mode)
    os.seteuid(user)
    check(Answer(main(words.split()), *capsys.readouterr()), Request(words, says))
