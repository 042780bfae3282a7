import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.fuzz_inputs import deep, endless
from src.common.errors import UsageError
from src.runs.checkpoint import read_checkpoint
from tests.conftest import Cli

GONE = object()
WEIGHT = "state_dict/net.linear1.weight"
SUBCOMMANDS = ("fit", "validate", "test")


def last(run: Path) -> Path:
    return run / "checkpoints" / "last.ckpt"


def flip(path: Path) -> None:
    """Change one bit in the middle, which is one of a weight's."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def change(run: Path, key: str, value: object) -> None:
    content: Any = torch.load(last(run), weights_only=True)
    part = content
    *way, name = [int(step) if step.isdigit() else step for step in key.split("/")]
    for step in way:
        part = part[step]
    if value is GONE:
        del part[name]
    else:
        part[name] = value
    torch.save(content, last(run))


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("pwned",)


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
@pytest.mark.parametrize("kind", ["in a checkpoint", "as a plain pickle", "as a class to import"])
def test_a_checkpoint_never_runs_code(
    kind: str, subcommand: str, cli: Cli, own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own_run)
    path = last(own_run)
    if kind == "as a plain pickle":
        path.write_bytes(pickle.dumps(Payload()))
    elif kind == "in a checkpoint":
        change(own_run, "hyper_parameters/lr", Payload())
    else:
        callback = [{"class_path": "os.mkdir", "init_args": {"path": "pwned"}}]
        change(own_run, "config/trainer/callbacks", callback)
    answer = cli(subcommand, "--ckpt_path", str(path))

    assert answer.code == 2
    assert str(path) in answer.err
    assert len(answer.err.splitlines()) == 1
    assert not Path("pwned").exists()


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_a_flipped_bit_is_found_and_named(subcommand: str, cli: Cli, own_run: Path) -> None:
    path = own_run / "checkpoints" / "best.ckpt"
    flip(path)
    answer = cli(subcommand, "--ckpt_path", str(path))

    assert answer.code == 2
    assert f"error: {path} is damaged (the checksum of its part " in answer.err
    assert len(answer.err.splitlines()) == 1


NAN = torch.full((256, 784), float("nan"))
FOREIGN: dict[str, tuple[str, object, tuple[str, ...]]] = {
    "no settings": ("config", {}, ("config.data.dataset is missing",)),
    "another program's network": ("state_dict", {"weight": torch.zeros(3)}, ("net.linear1.weight is missing",)),
    "a missing weight": (WEIGHT, GONE, ("net.linear1.weight is missing",)),
    "one weight more": ("state_dict/extra", torch.zeros(3), ("extra",)),
    "another shape": (WEIGHT, torch.zeros(256, 783), ("net.linear1.weight", "(256, 783) instead of (256, 784)")),
    "another dtype": (WEIGHT, torch.zeros(256, 784).half(), ("net.linear1.weight", "float16 instead of torch.float32")),
    "not a number": (WEIGHT, NAN, ("net.linear1.weight", "not finite")),
    "no tensor": (WEIGHT, "code", ("net.linear1.weight", "no plain tensor")),
    "no word of a teacher": ("config/distillation", GONE, ("config.distillation.teacher is missing",)),
    "no precision": ("config/trainer/precision", GONE, ("config.trainer.precision is missing",)),
    "an unknown setting": ("config/model/width", 3, ("model.width",)),
    "a setting of another type": ("config/model/dropout", "much", ("config.model.dropout is 'much'",)),
    "an unknown data set": ("config/data/dataset", "../MNIST", ("config.data.dataset is '../MNIST'",)),
    "no normalization": ("MNISTDataModule", {}, ("MNISTDataModule.normalization is missing",)),
    "broken statistics": ("MNISTDataModule/mean_std", [0.1, 0.0], ("mean_std is [0.1, 0.0]",)),
    "other classes": ("MNISTDataModule/classes/3", "three", ("MNISTDataModule.classes.3 is 'three' instead of '3'",)),
    "sums that are none": ("train_sums", {"train/loss": 3}, ("its train_sums.train/",)),
    "no units": ("config/model/hidden_units", [], ("config cannot be used", "--model.hidden_units")),
    "a negative setting": ("config/model/warmup_steps", -1, ("config cannot be used", "--model.warmup_steps")),
    "callbacks that are none": ("callbacks", 3, ("its callbacks is of type int",)),
    "a loop that is none": ("loops/test_loop/batch_progress/total", 3, ("loops.test_loop.batch_progress.total is 3",)),
    "an attribute more": ("loops/validate_loop/batch_progress/current/reset", 3, ("current.'reset'",)),
    "no version": ("pytorch-lightning_version", "newest", ("pytorch-lightning_version is 'newest'",)),
    "an old version": ("pytorch-lightning_version", "1.4.9", ("pytorch-lightning_version is '1.4.9'",)),
    "a number without end": ("config/data/batch_size", 16**400, ("config.data.batch_size is 4446",)),
    "a name that is none": ("config/model", {(1, 2): 3}, ("config has a setting 'model.(1, 2)'",)),
    "a part in one piece": ("config/model.lr", 0.1, ("config has a setting 'model.lr'",)),
    "several data sets": ("config/data/dataset", ["MNIST"], ("config.data.dataset is ['MNIST']",)),
    "a path that is none": ("config/data/data_dir", "a\0b", ("config.data.data_dir is 'a\\x00b'",)),
    "a name that clears the screen": ("config/\x1b[2J", 3, ("a setting '\\x1b[2J'",)),
    "lists in lists": ("callbacks/Mine", deep(200), ("too deep",)),
    "settings that hold themselves": ("config", endless(), ("config has a setting 'model.model'",)),
    "weights that are one number": (WEIGHT, torch.zeros(()).expand(256, 784), ("linear1.weight", "share their memory")),
    "weights of no memory": (WEIGHT, torch.zeros(256, 784, device="meta"), ("linear1.weight", "no plain tensor")),
}


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
@pytest.mark.parametrize("name", FOREIGN)
def test_what_does_not_fit_is_said(name: str, subcommand: str, cli: Cli, own_run: Path) -> None:
    key, value, says = FOREIGN[name]
    change(own_run, key, value)
    answer = cli(subcommand, "--ckpt_path", str(last(own_run)))

    assert answer.code == 2
    assert answer.err.startswith(f"error: {last(own_run)} ")
    assert len(answer.err.splitlines()) == 1
    for words in says:
        assert words in answer.err


ADAM = "optimizer_states/0"
FIT_LOOP = "loops/fit_loop"
STATE_OF_TRAINING: dict[str, tuple[str, object, str]] = {
    "no callbacks": ("callbacks/History", GONE, "its callbacks.History is missing"),
    "no record": ("callbacks/History/epochs", [3], "no record of epoch 1"),
    "no loops": ("loops/fit_loop", GONE, "loops.fit_loop is missing"),
    "no optimizer": ("optimizer_states", [], "optimizer_states"),
    "another optimizer": (f"{ADAM}/param_groups/0/betas", GONE, "optimizer_states"),
    "other parameters": (f"{ADAM}/param_groups/0/params", [0], "optimizer_states"),
    "no second moment": (f"{ADAM}/state/0/exp_avg_sq", GONE, "optimizer_states.0.state.0.exp_avg_sq is missing"),
    "moments that are one number": (f"{ADAM}/state/0/exp_avg", torch.zeros(()).expand(256, 784), "share their memory"),
    "another kind of Adam": (f"{ADAM}/param_groups/0/amsgrad", True, "param_groups.0.amsgrad is True instead of False"),
    "a schedule": ("lr_schedulers", [{"step": 3}], "lr_schedulers"),
    "a score that is none": ("callbacks/Checkpoints/best_score", "high", "best_score is of type str"),
    "a record of half a validation": (
        "callbacks/History/epochs",
        [{"epoch": 1, "seconds": 1.0, "train/loss": 1.0, "train/acc": 1.0, "val/acc": 1.0}],
        "no record of epoch 1",
    ),
    "a record of tensors": ("callbacks/History/epochs/0/epoch", torch.ones(3), "epochs has no record of epoch 1"),
    "a record of another epoch": ("callbacks/History/epochs/0/epoch", 7, "epochs has no record of epoch 1"),
    "an epoch that is none": ("epoch", -1, "epoch is -1"),
    "another epoch": ("epoch", 7, "loops.fit_loop does not fit"),
    "another step": ("global_step", 7, "loops.fit_loop does not fit"),
    "half a batch": (f"{FIT_LOOP}/epoch_loop.batch_progress/current/ready", 0.5, "batch_progress.current.ready is 0.5"),
    "a batch below the first": (f"{FIT_LOOP}/state_dict/combined_loader/0/batches_done", -1, "batches_done is -1"),
    "no loader": (f"{FIT_LOOP}/state_dict/combined_loader", [], "combined_loader"),
    "a broken scaler": ("MixedPrecision", {"scale": None}, "MixedPrecision.growth_factor is missing"),
    "a moment that is not a number": (f"{ADAM}/state/0/exp_avg", NAN, "optimizer_states.0.state.0.exp_avg has values"),
}


@pytest.mark.parametrize("name", STATE_OF_TRAINING)
def test_the_state_of_the_training_must_fit_where_training_goes_on(name: str, own_run: Path) -> None:
    key, value, says = STATE_OF_TRAINING[name]
    change(own_run, key, value)

    with pytest.raises(UsageError, match=says):
        read_checkpoint(last(own_run), training=True)
    read_checkpoint(last(own_run), training=False)


def test_a_checkpoint_in_double_precision_is_one_of_ours(cli: Cli, tmp_path: Path) -> None:
    assert cli("fit", "--trainer.max_epochs", "1", "--trainer.precision", "64-true").code == 0
    assert cli("test", "--ckpt_path", "best").code == 0
    assert cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "2").code == 0


def test_a_checkpoint_that_unpacks_to_more_than_it_is_was_not_written_here(own_run: Path) -> None:
    with zipfile.ZipFile(last(own_run)) as archive:
        parts = {part.filename: archive.read(part) for part in archive.infolist()}
    with zipfile.ZipFile(last(own_run), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content + bytes(1_000_000) if name.endswith("data.pkl") else content)

    with pytest.raises(UsageError, match=r"last\.ckpt is not a readable checkpoint"):
        read_checkpoint(last(own_run), training=False)


def test_a_truncated_checkpoint_is_named(own_run: Path) -> None:
    last(own_run).write_bytes(last(own_run).read_bytes()[:-200])
    with pytest.raises(UsageError, match=r"last\.ckpt is not a readable checkpoint"):
        read_checkpoint(last(own_run), training=False)


@pytest.mark.parametrize("request_", ["last", "version_0"])
def test_training_goes_on_from_the_checkpoint_before_a_damaged_last_one(
    request_: str, cli: Cli, own_run: Path, trained: Path
) -> None:
    flip(last(own_run))
    answer = cli("fit", "--ckpt_path", request_ if request_ == "last" else str(own_run), "--trainer.max_epochs", "2")

    assert answer.code == 0
    assert answer.err.startswith(f"warning: {last(own_run)} is damaged")
    assert f"is wrong); going on from {own_run}/checkpoints/last.prev.ckpt, the one before." in answer.err
    again, uninterrupted = (read_checkpoint(last(run), training=True) for run in (own_run, trained))
    assert again["epoch"] == uninterrupted["epoch"] == 1
    for name, weight in uninterrupted["state_dict"].items():
        assert weight.equal(again["state_dict"][name])
    assert read_checkpoint(own_run / "checkpoints" / "last.prev.ckpt", training=True)["epoch"] == 0


def test_evaluation_takes_the_checkpoint_before_a_damaged_last_one(cli: Cli, own_run: Path) -> None:
    flip(last(own_run))

    answer = cli("test", "--ckpt_path", "last")
    assert answer.code == 0
    assert "last.prev.ckpt" in answer.err
    assert "last.prev.ckpt" in (own_run / "test.json").read_text()
    assert cli("test", "--ckpt_path", str(last(own_run))).code == 2
    flip(own_run / "checkpoints" / "last.prev.ckpt")
    assert "last.prev.ckpt is damaged" in cli("test", "--ckpt_path", "last").err
