"""A checkpoint never runs code and never imports what it names."""

import os
import pickle
import sys
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.faults.checkpoints import Call
from tests.faults.runs import change, last

SUBCOMMANDS = ("fit", "validate", "test")
PAYLOAD = Call(os.mkdir, "pwned")


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
@pytest.mark.parametrize("kind", ["in a checkpoint", "as a plain pickle", "as a class to import"])
def test_a_checkpoint_never_runs_code(
    kind: str, subcommand: str, cli: Cli, own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own_run)
    path = last(own_run)
    if kind == "as a plain pickle":
        path.write_bytes(pickle.dumps(PAYLOAD))
    elif kind == "in a checkpoint":
        change(last(own_run), "hyper_parameters/lr", PAYLOAD)
    else:
        callback = [{"class_path": "os.mkdir", "init_args": {"path": "pwned"}}]
        change(last(own_run), "config/trainer/callbacks", callback)
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
    change(last(own_run), f"config/{setting}", CLASSES_TO_IMPORT[setting])
    answer = cli(subcommand, "--ckpt_path", str(last(own_run)))

    assert "antigravity" not in sys.modules
    if setting.startswith("model") or subcommand == "fit":  # an evaluation needs no optimizer
        assert answer.code == 2
        assert f"{last(own_run)} names the class '" in answer.err
