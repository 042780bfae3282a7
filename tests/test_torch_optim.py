"""An optimizer and a schedule by flags or a config: torch's own with its defaults, or refused by name."""

from pathlib import Path

import pytest
from torch.optim import SGD

from tests.conftest import Cli
from tests.training import EPOCHS, checkpoint, run_folder, same


def test_an_optimizer_by_flags_is_torchs_own_with_its_defaults(cli: Cli, tmp_path: Path) -> None:
    """torch's Adam has another eps than Keras', so it ends with other weights than the recipe."""
    cli("fit", *EPOCHS, "--optimizer", "Adam")
    state = checkpoint(run_folder(tmp_path))["optimizer_states"][0]["param_groups"][0]

    assert (state["eps"], state["lr"], state["fused"]) == (1e-8, 1e-3, None)


def test_a_config_says_the_same_as_flags(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "sgd.yaml"
    config.write_text(
        "optimizer:\n  class_path: SGD\n  init_args:\n    lr: 0.05\n"
        "lr_scheduler:\n  class_path: ReduceLROnPlateau\n  init_args:\n    monitor: val/loss\n"
    )
    flags = ["--optimizer", "SGD", "--optimizer.lr", "0.05", "--lr_scheduler=ReduceLROnPlateau"]
    assert cli("fit", *EPOCHS, "--config", str(config)).code == 0
    assert cli("fit", *EPOCHS, *flags, "--lr_scheduler.monitor", "val/loss").code == 0

    one, other = (checkpoint(run_folder(tmp_path, number)) for number in range(2))
    assert same(one["state_dict"], other["state_dict"]) and one["config"] == other["config"]


REFUSED = {
    "--optimizer LBFGS": "--optimizer LBFGS cannot be used (LBFGS.step() missing 1 required positional argument",
    "--optimizer SparseAdam": "--optimizer SparseAdam cannot be used (SparseAdam does not support dense gradients",
    "--optimizer Muon": "--optimizer Muon cannot be used (Muon only supports 2D parameters",
    "--optimizer SGD --optimizer.lr -1": "--optimizer SGD cannot be used (Invalid learning rate: -1.0)",
    "--optimizer Sgd": "--optimizer: there is no Sgd; did you mean SGD?",
    "--optimizer.lr 0.1": "--optimizer.lr does not fit: put it after its class (--optimizer=NAME)",
    "--optimizer SGD --optimizer.mass 1": "--optimizer.mass does not fit",
    "--optimizer SGD --model.lr 0.1": "leave that out, or the config that sets it, and give --optimizer.lr.",
    "--optimizer SGD --model.weight_decay 0.1": "--optimizer SGD takes the place of --model.weight_decay 0.1",
    "--lr_scheduler StepLR": "--lr_scheduler.step_size is missing: the class needs it.",
    "--lr_scheduler StepLR --lr_scheduler.step_size 1 --model.cosine true": "takes the place of --model.cosine True",
    "--lr_scheduler ReduceLROnPlateau --lr_scheduler.monitor val/los": "there is no metric val/los; the metrics are: ",
    "--lr_scheduler ReduceLROnPlateau --lr_scheduler.monitor val/loss --model.steps_per_execution 3":
    "a scheduler that monitors a metric needs --model.steps_per_execution 1.",
    "--lr_scheduler CyclicLR --lr_scheduler.base_lr 0.1 --lr_scheduler.max_lr 1 --optimizer Adagrad":
    "--lr_scheduler CyclicLR cannot be used (optimizer must support momentum",
}  # fmt: skip


@pytest.mark.parametrize("flags", REFUSED)
def test_what_cannot_train_is_refused_by_name(flags: str, cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *EPOCHS, *flags.split())

    assert (answer.code, REFUSED[flags] in answer.err) == (2, True), answer
    assert not list((tmp_path / "lightning_logs").glob("*"))


@pytest.mark.parametrize("flags", ["--optimizer NAdam", "--optimizer SGD --optimizer.lr 0.2 --optimizer.momentum 0.9"])
def test_another_one_is_refused_on_top_of_a_checkpoint(flags: str, cli: Cli) -> None:
    cli("fit", *EPOCHS, "--optimizer", "SGD", "--optimizer.lr", "0.05")
    answer = cli("fit", "--ckpt_path", "last", *flags.split(), "--trainer.max_epochs", "9")

    assert answer.code == 2
    assert " differs from " in answer.err and answer.err.startswith("error: --optimizer")


def test_the_recipes_own_is_not_changed_for_another_on_top_of_a_checkpoint(cli: Cli) -> None:
    cli("fit", *EPOCHS)
    answer = cli("fit", "--ckpt_path", "last", "--optimizer", "SGD", "--trainer.max_epochs", "9")

    assert answer.err.startswith("error: --optimizer SGD differs from ") and "which has none;" in answer.err


class Own(SGD):
    """An optimizer of one's own, which no checkpoint may import."""


def test_a_class_of_ones_own_is_given_again(cli: Cli, tmp_path: Path) -> None:
    name = f"{__name__}.Own"
    words = ["--optimizer", name, "--optimizer.lr", "0.05"]
    assert cli("fit", *EPOCHS, *words).code == 0
    more = ["--ckpt_path", "last", "--trainer.max_epochs", "4"]
    refused = cli("fit", *more)
    assert refused.code == 2
    assert f"names the class '{name}' for optimizer, which no checkpoint brings back" in refused.err

    assert cli("fit", *more, *words).code == 0
    assert cli("test", "--ckpt_path", "last").code == 0
    assert len(checkpoint(run_folder(tmp_path))["callbacks"]["History"]["epochs"]) == 4
