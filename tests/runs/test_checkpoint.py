import os
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from src.common.errors import UsageError
from src.runs.checkpoint import Checkpoint
from tests.conftest import Cli
from tests.faults.pickles import deep, endless

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


CLASSES_TO_IMPORT = {
    "model/network": "antigravity.Network",
    "model": {"network": {"class_path": "antigravity.Network"}},
    "model/loss": '{"class_path": "antigravity\\u002eLoss"}',  # as YAML it has a dot
    "model/metrics": [{"class_path": "antigravity.Metric"}, "antigravity.Metric"],
    "optimizer": "antigravity.Optimizer",
    "lr_scheduler": {"class_path": "SequentialLR", "init_args": {"schedulers": ["antigravity.Schedule"]}},
}


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
@pytest.mark.parametrize("setting", CLASSES_TO_IMPORT)
def test_a_checkpoint_never_imports_what_it_names(setting: str, subcommand: str, cli: Cli, own_run: Path) -> None:
    change(own_run, f"config/{setting}", CLASSES_TO_IMPORT[setting])
    answer = cli(subcommand, "--ckpt_path", str(last(own_run)))

    assert "antigravity" not in sys.modules
    if setting.startswith("model") or subcommand == "fit":  # an evaluation needs no optimizer
        assert answer.code == 2
        assert f"{last(own_run)} names the class '" in answer.err


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
    "no settings": ("config", {}, ("config.model.network is missing",)),
    "another program's network": ("state_dict", {"weight": torch.zeros(3)}, ("Missing key(s)", "linear1.weight")),
    "a missing weight": (WEIGHT, GONE, ("Missing key(s)", "linear1.weight")),
    "one weight more": ("state_dict/net.extra", torch.zeros(3), ("Unexpected key(s)", "extra")),
    "another shape": (WEIGHT, torch.zeros(256, 783), ("linear1.weight", "[256, 783]", "[256, 784]")),
    "not a number": (WEIGHT, NAN, ("its state_dict has values that are not finite",)),
    "no tensor": (WEIGHT, "code", ("linear1.weight",)),
    "an unknown setting": ("config/model/width", 3, ("a setting 'model.width' that nothing here has",)),
    "a setting of another type": ("config/model/dropout", "much", ("--model.dropout", "much")),
    "an unknown data set": ("config/data/dataset", "../MNIST", ("--data.dataset", "../MNIST")),
    "no normalization": ("MNISTDataModule", {}, ("MNISTDataModule.classes is missing",)),
    "broken statistics": ("MNISTDataModule/mean_std", [0.1, 0.0], ("mean_std is a list",)),
    "classes that are none": ("MNISTDataModule/classes/3", 3, ("MNISTDataModule.classes are no names",)),
    "a class of a very long name": ("MNISTDataModule/classes/3", "x" * 300, ("MNISTDataModule.classes are no names",)),
    "no units": ("config/model/hidden_units", [], ("hidden_units",)),
    "units of another kind": ("config/model/hidden_units", "many", ("does not fit the network of its settings",)),
    "a network that is none": ("config/model/network", "rnn", ("does not fit the network of its settings", "rnn")),
    "a number without end": ("config/data/batch_size", 16**400, ("its config has 4446",)),
    "a name that is none": ("config/model", {(1, 2): 3}, ("config",)),
    "several data sets": ("config/data/dataset", ["MNIST"], ("--data.dataset",)),
    "a path that is none": ("config/data/data_dir", "a\0b", ("its config has 'a\\x00b'",)),
    "a name that clears the screen": ("config/\x1b[2J", 3, ("a setting '\\x1b[2J'",)),
    "code to import": (
        "config/trainer/callbacks",
        [{"class_path": "os.mkdir", "init_args": {"path": "pwned"}}],
        ("a setting 'trainer.callbacks' that nothing here has",),
    ),
    "a class to import": (
        "config/data/distortion",
        {"class_path": "os.mkdir", "init_args": {"path": "pwned"}},
        ("names the class 'os.mkdir' for data.distortion", "by --config or --data.distortion"),
    ),
    "lists in lists": ("callbacks/Mine", deep(200), ("too deep",)),
    "settings that hold themselves": ("config", endless(), ("too deep",)),
    "weights that are one number": (WEIGHT, torch.zeros(()).expand(256, 784), ("larger than its memory",)),
    "weights of no memory": (WEIGHT, torch.zeros(256, 784, device="meta"), ("the name torch._utils._rebuild_meta",)),
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
    "no loops": ("loops/fit_loop", GONE, "KeyError"),
    "no optimizer": ("optimizer_states", GONE, "KeyError"),
    "two optimizers": ("optimizer_states", [{}, {}], "KeyError"),
    "other parameters": (f"{ADAM}/param_groups/0/params", [0], "doesn't match the size of optimizer's group"),
    "no second moment": (f"{ADAM}/state/0/exp_avg_sq", GONE, "exp_avg_sq"),
    "moments of another shape": (
        f"{ADAM}/state/0/exp_avg",
        torch.zeros(3),
        "the optimizer's exp_avg is (3,)",
    ),
    "a moment that is not a number": (f"{ADAM}/state/0/exp_avg", NAN, "its optimizer_states has values that are not"),
    "sums that are none": ("train_sums", {"train/loss": 3}, "cannot be gone on with"),
    "an epoch that is none": ("epoch", "first", "its epoch is 'first'"),
    "no place in the epoch": ("batches_done", "half", "its batches_done is 'half'"),
    "a version of 5,000 digits": ("pytorch-lightning_version", "9" * 5_000, "cannot be gone on with: "),
    "a version that is a tensor": ("pytorch-lightning_version", torch.zeros((2,) * 8), "cannot be gone on with: "),
}


@pytest.mark.parametrize("name", STATE_OF_TRAINING)
def test_what_training_cannot_go_on_with_is_said_in_a_sentence(name: str, cli: Cli, own_run: Path) -> None:
    key, value, says = STATE_OF_TRAINING[name]
    change(own_run, key, value)
    before = {path.name for path in own_run.rglob("*.ckpt")}
    answer = cli("fit", "--ckpt_path", str(last(own_run)), "--trainer.max_epochs", "3")

    assert answer.code == 2
    assert answer.err.startswith((f"error: {last(own_run)} ", "error: --ckpt_path: the optimizer's exp_avg "))
    assert says in answer.err
    assert len(answer.err.splitlines()) == 1
    assert {path.name for path in own_run.rglob("*.ckpt")} == before


TOLERATED: dict[str, tuple[str, object]] = {
    "an infinite number of a schedule's": ("lr_schedulers", [{"best": float("inf")}]),
    "a setting that is left out": ("config/distillation", GONE),
    "a callback that is not here": ("callbacks/Other", {"patience": float("inf"), "best": torch.tensor(float("inf"))}),
    "what another Lightning would write": ("loops/predict_loop/more", 3),
    "an attribute of another optimizer": (f"{ADAM}/param_groups/0/nesterov", False),
}


@pytest.mark.parametrize("name", TOLERATED)
def test_what_does_no_harm_is_let_through(name: str, cli: Cli, own_run: Path) -> None:
    key, value = TOLERATED[name]
    change(own_run, key, value)

    for command in (("test",), ("fit", "--trainer.max_epochs", "3")):
        answer = cli(*command, "--ckpt_path", str(last(own_run)))
        assert (answer.code, answer.err) == (0, "")


@pytest.mark.parametrize(("command", "file"), [("test", "test.json"), ("validate", "validate.json")])
def test_weights_too_large_for_finite_logits_leave_no_result(command: str, file: str, cli: Cli, own_run: Path) -> None:
    change(own_run, WEIGHT, torch.full((256, 784), 3e38))
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
    with zipfile.ZipFile(last(own_run)) as archive:
        parts = {part.filename: archive.read(part) for part in archive.infolist()}
    with zipfile.ZipFile(last(own_run), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content + bytes(1_000_000) if name.endswith("data.pkl") else content)

    with pytest.raises(UsageError, match=r"last\.ckpt is not a checkpoint .*: it has parts that are compressed"):
        Checkpoint.read(last(own_run))


def test_a_truncated_checkpoint_is_named(own_run: Path) -> None:
    last(own_run).write_bytes(last(own_run).read_bytes()[:-200])
    with pytest.raises(UsageError, match=r"last\.ckpt is not a readable checkpoint"):
        Checkpoint.read(last(own_run))


@pytest.mark.parametrize("request_", ["last", "version_0"])
def test_training_goes_on_from_the_checkpoint_before_a_damaged_last_one(
    request_: str, cli: Cli, own_run: Path, trained: Path
) -> None:
    flip(last(own_run))
    answer = cli("fit", "--ckpt_path", request_ if request_ == "last" else str(own_run), "--trainer.max_epochs", "2")

    assert answer.code == 0
    previous = own_run / "checkpoints" / "last.prev.ckpt"
    assert answer.err == f"warning: {last(own_run)} is damaged; going on from {previous}, the one before.\n"
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
