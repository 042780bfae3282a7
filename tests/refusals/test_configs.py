"""Configs that are not there, cannot be read, do not fit, or would run code or grow without end."""

from pathlib import Path

import pytest

from tests.faults.configs import laughs
from tests.faults.folders import config, not_utf8
from tests.refusals.conftest import Refuse
from tests.refusals.requests import FIT, Request

pytestmark = pytest.mark.slow


def configs(folder: Path) -> None:
    (folder / "configs").mkdir()
    (folder / "configs" / "mlp.yaml").touch()


def bad(text: str, *says: str) -> Request:
    return Request(f"{FIT} --config bad.yaml", says, config(text))


REQUESTS = {
    "no config": Request(
        f"{FIT} --config nowhere/n.yaml", ("--config nowhere/n.yaml: no such file; run in the project's folder",)
    ),
    "a config of another name": Request(
        f"{FIT} --config my/mpl.yaml", ("--config my/mpl.yaml: no such file; did you mean configs/mlp.yaml?",), configs
    ),
    "a folder for a config": Request(f"{FIT} --config digits", ("--config digits is a folder: name a file",)),
    "no config of a part": Request(f"{FIT} --model my.yaml", ("--model my.yaml: no such file",)),
    "a broken config of a part": Request(
        f"{FIT} --model bad.yaml", ("--model", "bad.yaml", "line 2"), config("lr: [\n")
    ),
    "a part's config of another encoding": Request(f"{FIT} --model bad.yaml", ("UTF-8",), not_utf8),
    "an empty config": bad("", "--config bad.yaml", "no settings"),
    "broken config": bad("model: [\n", "config", " at line 2"),
    "a config that is no YAML": bad("a text: of\n b: c\n", "--config ", "bad.yaml is not YAML: mapping values"),
    "unknown key": bad("data:\n  batchsize: 3\n", "--data.batchsize", "--data.batch_size?"),
    "wrong type in a config": bad("model:\n  hidden_units: 256\n", "--model.hidden_units", "list", "256"),
    "a setting without a value": bad("model:\n  lr:\n", "--model.lr", "a number", "null"),
    "a part's number without a value": bad("inspection:\n  every_n_epochs:\n", "--inspection.every_n_epochs", "null"),
    "a value in the place of settings": bad("model: 3\n", "--model needs settings below it"),
    "a value in the place of settings within settings": bad(
        "data:\n  distortion: false\n", "--data.distortion needs settings"
    ),
    "nothing in the place of settings": bad("checkpoints:\ndata:\n  fold: 3\n", "--checkpoints needs settings"),
    "a config that makes an object": bad(
        "model:\n  lr: !!python/object/apply:os.mkdir [pwned]\n",
        "--config bad.yaml",
        "python/object/apply:os.mkdir",
        "line 2",
    ),
    "a config that makes a tuple": bad("model:\n  hidden_units: !!python/tuple [8]\n", "bad.yaml", "python/tuple"),
    "a value of another kind than its tag": bad(
        "model:\n  lr: !!timestamp x\n", "bad.yaml", "not fit the way it is written"
    ),
    "a number without digits": bad("model:\n  lr: 0b_\n", "bad.yaml", "not fit the way it is written"),
    "a number of 5,000 digits": bad(f"seed_everything: 0x{'f' * 5_000}\n", "bad.yaml", "too long"),
    "a null character": bad('data:\n  data_dir: "a\\0b"\n', "bad.yaml", "null character"),
    "lists so deep that PyYAML crashes": bad(f"model:\n  hidden_units: {'[' * 100_000}\n", "bad.yaml", "too deep"),
    "a list that holds itself": bad("model:\n  hidden_units: &a [*a]\n", "bad.yaml", "too many"),
    "a few lines that stand for a billion values": bad(laughs(depth=9), "bad.yaml", "too many"),
    "a value that clears the screen": bad('data:\n  split: "\\e[2J"\n', "--data.split", "\\x1b[2J"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request_gets_one_sentence_and_writes_nothing(name: str, refuse: Refuse) -> None:
    refuse(REQUESTS[name])
