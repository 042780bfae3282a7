"""Values in a checkpoint that do not fit: said in a sentence, or let through where they do no harm."""

from pathlib import Path

import pytest
import torch

from tests.conftest import Cli
from tests.faults.pickles import deep, endless
from tests.faults.runs import GONE, WEIGHT, change, last

NAN = torch.full((256, 784), float("nan"))
FOREIGN: dict[str, tuple[str, object, tuple[str, ...]]] = {
    "no settings": ("config", {}, ("config.model.network is missing",)),
    "another program's network": ("state_dict", {"weight": torch.zeros(3)}, ("Missing key(s)", "linear1.weight")),
    "a missing weight": (WEIGHT, GONE, ("Missing key(s)", "linear1.weight")),
    "one weight more": ("state_dict/net.extra", torch.zeros(3), ("Unexpected key(s)", "extra")),
    "another shape": (WEIGHT, torch.zeros(256, 783), ("linear1.weight", "[256, 783]", "[256, 784]")),
    "not a number": (WEIGHT, NAN, ("its state_dict has values that are not finite",)),
    "no tensor": (WEIGHT, "code", ("linear1.weight",)),
    "an unknown setting": (
        "config/model/width",
        3,
        ("an unknown setting 'model.width'", "or use this one with the code that wrote it."),
    ),
    "a setting of another type": ("config/model/dropout", "much", ("--model.dropout", "much")),
    "an unknown data set": ("config/data/dataset", "../MNIST", ("--data.dataset", "../MNIST")),
    "no normalization": ("MNISTDataModule", {}, ("MNISTDataModule.classes is missing",)),
    "broken statistics": ("MNISTDataModule/mean_std", [0.1, 0.0], ("mean_std is a list",)),
    "classes that are none": ("MNISTDataModule/classes/3", 3, ("MNISTDataModule.classes are no names",)),
    "a class of a very long name": ("MNISTDataModule/classes/3", "x" * 300, ("MNISTDataModule.classes are no names",)),
    "images without a width": ("MNISTDataModule/image_shape", [28, 0], ("MNISTDataModule.image_shape is a list",)),
    "no units": ("config/model/hidden_units", [], ("hidden_units",)),
    "units of another kind": ("config/model/hidden_units", "many", ("does not fit the network of its settings",)),
    "a network that is none": ("config/model/network", "rnn", ("does not fit the network of its settings", "rnn")),
    "a number without end": ("config/data/batch_size", 16**400, ("its config has 4446",)),
    "a name that is none": ("config/model", {(1, 2): 3}, ("config",)),
    "several data sets": ("config/data/dataset", ["MNIST"], ("--data.dataset",)),
    "a path that is none": ("config/data/data_dir", "a\0b", ("its config has 'a\\x00b'",)),
    "a name that clears the screen": ("config/\x1b[2J", 3, ("an unknown setting '\\x1b[2J'",)),
    "code to import": (
        "config/trainer/callbacks",
        [{"class_path": "os.mkdir", "init_args": {"path": "pwned"}}],
        ("an unknown setting 'trainer.callbacks'",),
    ),
    "a class to import": (
        "config/data/distortion",
        {"class_path": "os.mkdir", "init_args": {"path": "pwned"}},
        ("names the class 'os.mkdir' for data.distortion", "give it again by --data.distortion"),
    ),
    "lists in lists": ("callbacks/Mine", deep(200), ("too deep",)),
    "settings that hold themselves": ("config", endless(), ("too deep",)),
    "weights that are one number": (WEIGHT, torch.zeros(()).expand(256, 784), ("larger than its memory",)),
    "weights of no memory": (WEIGHT, torch.zeros(256, 784, device="meta"), ("the name torch._utils._rebuild_meta",)),
}


@pytest.mark.parametrize("subcommand", ["fit", "validate", "test"])
@pytest.mark.parametrize("name", FOREIGN)
def test_what_does_not_fit_is_said(name: str, subcommand: str, cli: Cli, own_run: Path) -> None:
    key, value, says = FOREIGN[name]
    change(last(own_run), key, value)
    answer = cli(subcommand, "--ckpt_path", str(last(own_run)))

    assert answer.code == 2
    assert answer.err.startswith(f"error: {last(own_run)} ")
    assert len(answer.err.splitlines()) == 1
    for words in says:
        assert words in answer.err


ADAM = "optimizer_states/0"
STATE_OF_TRAINING: dict[str, tuple[str, object, str]] = {
    "no callbacks": ("callbacks/History", GONE, "holds a network and not a run's training"),
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
    "sums that are none": ("train_sums", {"train/loss": 3}, "cannot be resumed"),
    "an infinite sum": (
        "train_sums",
        {"train/loss": {"total": torch.tensor([torch.inf])}},
        "its train_sums has values",
    ),
    "an epoch that is none": ("epoch", "first", "its epoch is 'first'"),
    "no place in the epoch": ("batches_done", "half", "its batches_done is 'half'"),
    "a version of 5,000 digits": ("pytorch-lightning_version", "9" * 5_000, "cannot be resumed: "),
    "a version that is a tensor": ("pytorch-lightning_version", torch.zeros((2,) * 8), "cannot be resumed: "),
}


@pytest.mark.parametrize("name", STATE_OF_TRAINING)
def test_what_training_cannot_go_on_with_is_said_in_a_sentence(name: str, cli: Cli, own_run: Path) -> None:
    key, value, says = STATE_OF_TRAINING[name]
    change(last(own_run), key, value)
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
    change(last(own_run), key, value)

    for command in (("test",), ("fit", "--trainer.max_epochs", "3")):
        answer = cli(*command, "--ckpt_path", str(last(own_run)))
        assert (answer.code, answer.err) == (0, "")
