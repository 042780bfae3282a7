"""Commands and flags that are unknown, misspelt, of elsewhere or not complete."""

from pathlib import Path

import pytest
from lightning.pytorch import Callback
from lightning.pytorch.loggers.logger import DummyLogger
from torch import nn

from tests.refusals.conftest import Refuse
from tests.refusals.requests import FIT, Request

pytestmark = pytest.mark.slow


def checkpoints(folder: Path) -> None:
    (folder / "a" / "checkpoints").mkdir(parents=True)


class NoSuper(nn.Module):
    """A network whose author forgot a line."""

    def __init__(self) -> None:
        self.layer = nn.Flatten()


class Refuses(nn.Module):
    """A network that refuses its default."""

    def __init__(self, width: int = 7) -> None:
        super().__init__()
        raise ValueError("width must be even")


class RefusesMutely(nn.Module):
    """A network that does not say why it refuses its default."""

    def __init__(self, width: int = 7) -> None:
        super().__init__()
        raise AssertionError


class RefusesLogger(DummyLogger):
    """A logger that refuses its default."""

    def __init__(self, every: int = 7) -> None:
        raise ValueError("every must be even")


class RefusesCallback(Callback):
    """A callback that refuses its default."""

    def __init__(self, every: int = 7) -> None:
        raise ValueError("every must be even")


NO_SUPER, REFUSES = f"{__name__}.NoSuper", f"{__name__}.Refuses"
NOT_MADE = (f"error: {NO_SUPER} cannot be made (cannot assign module before Module.__init__() call): mend the class",)
REQUESTS = {
    "unknown subcommand": Request("fot", ("fot is not a command", "fit, validate", "sweep")),
    "abbreviated flag": Request("fit --trainer.max_epoch 3", ("--trainer.max_epoch ", "--trainer.max_epochs?")),
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
    "no checkpoint named": Request("validate", ("--ckpt_path is missing: give a checkpoint",)),
    "no picture named": Request("predict", ("--images is missing; see --help.",)),
    "pictures without a name": Request("predict --ckpt_path best --images", ("--images needs a value.",)),
    "a flag without its value": Request(f"{FIT} --config", ("--config needs a value.",)),
    "a flag of a sweep without its value": Request("sweep --space", ("--space needs a value.",)),
    "a seed of another command": Request("serve --seed 3", ("--seed is not known; see --help.",)),
    "a seed as elsewhere": Request("fit --seed 3", ("--seed is not known", "--seed_everything?")),
    "an lr as elsewhere": Request("fit --model.learning_rate 3", ("--model.learning_rate ", "--model.lr?")),
    "epochs, as in Keras": Request(f"{FIT} --epochs 3", ("--epochs is not known", "--trainer.max_epochs?")),
    "a misspelt part": Request(f"{FIT} --modle.lr 3", ("--modle.lr is not known; did you mean --model.lr?",)),
    "epochs, as in PyTorch": Request(f"{FIT} --num_epochs 3", ("--trainer.max_epochs?",)),
    "units, as in Keras": Request(f"{FIT} --model.units 3", ("--model.hidden_units?",)),
    "devices, as in old Lightning": Request(
        f"{FIT} --trainer.gpus 1", ("--trainer.gpus is not known; did you mean --trainer.devices?",)
    ),
    "a checkpoint, as in old Lightning": Request(
        f"{FIT} --trainer.resume_from_checkpoint a.ckpt", ("did you mean --ckpt_path?",)
    ),
    "a flag without its part": Request(f"{FIT} --lr 3", ("--lr is not known", "--model.lr?")),
    "a flag like no other": Request("--version", ("--version is not known; see --help.",)),
    "a flag that the network has not": Request(
        "fit --model.activation relu", ("--model.activation is not known; see --help.",)
    ),
    "a dash in the place of two hyphens": Request(
        "fit \u2014ckpt_path last", ("\u2014ckpt_path begins with a dash, not with two hyphens: write --ckpt_path.",)
    ),
    "a misspelt callback": Request(
        f"{FIT} --trainer.callbacks+=EarlyStoping", ("--trainer.callbacks: there is no EarlyStoping", "EarlyStopping?")
    ),
    "no callback": Request(
        f"{FIT} --trainer.callbacks+=src.nowhere.Nothing", ("src.nowhere.Nothing cannot be imported as such a class",)
    ),
    "a network that forgets super().__init__()": Request(f"{FIT} --model.network {NO_SUPER}", NOT_MADE),
    "such a network for pictures": Request(f"predict --images digits --network {NO_SUPER}", NOT_MADE),
    "a network that refuses its arguments": Request(
        f"{FIT} --model.network {REFUSES}", (f"error: {REFUSES} cannot be made (width must be even): mend the class",)
    ),
    "a network that does not say why": Request(
        f"{FIT} --model.network {REFUSES}Mutely", (f"error: {REFUSES}Mutely cannot be made (it gives no reason): mend",)
    ),
    "a logger that refuses its arguments": Request(
        f"{FIT} --trainer.logger+={REFUSES}Logger",
        (f"error: {REFUSES}Logger cannot be made (every must be even): mend the class or its arguments.",),
    ),
    "a callback that refuses its arguments": Request(
        f"{FIT} --trainer.callbacks+=LearningRateMonitor --trainer.callbacks+={REFUSES}Callback",
        (f"error: {REFUSES}Callback cannot be made (every must be even): mend the class or its arguments.",),
    ),
    "a callback without what it needs": Request(
        f"{FIT} --trainer.callbacks+=EarlyStopping", ("--trainer.callbacks.monitor is missing: the class needs it.",)
    ),
    "an argument without its callback": Request(
        f"{FIT} --trainer.callbacks.monitor=val/loss",
        ("--trainer.callbacks.monitor does not fit: put it after its class",),
    ),
    "a flag so long that PyYAML crashes": Request(
        f"{FIT} --model.hidden_units {'[' * 100_000}", ("3,500 characters", "--config")
    ),
    "a flag with a tag": Request(
        f"{FIT} --data.on_device=!!timestamp_x", ("--data.on_device=!!timestamp_x", "plainly")
    ),
    "a list for a network": Request(f"{FIT} --model.network []", ("--model.network: [] is not one of ['mlp', 'cnn']",)),
    # jsonargparse prints them or not, as the interpreter's stack allows: a sentence in both cases
    "lists so deep that they may not be printed": Request(f"{FIT} --model.lr {'[' * 1_700}1{']' * 1_700}", ()),
    "a flag of deep lists": Request(f"{FIT} --trainer.max_epochs {'[' * 200}", ("--trainer.max_epochs", "[[[")),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request_gets_one_sentence_and_writes_nothing(name: str, refuse: Refuse) -> None:
    refuse(REQUESTS[name])
