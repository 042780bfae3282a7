"""What is read by commands, which are run in this process as a user runs them: configs and checkpoints.

Each ``try_`` returns the inputs, a sound one, and what to do with one. It makes what it needs in the working folder.
"""

import contextlib
import io
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
import yaml
from hypothesis import strategies as st

from benchmarks.fuzz.files import Inputs
from benchmarks.fuzz.limits import check_sentence, limits, outcome
from src.cli.fit import CLI
from src.cli.main import main as cli
from src.data.checks import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from src.data.idx import write_idx
from src.launch.launcher import Launch
from src.launch.ranks import Ranks
from src.runs.checkpoint import Checkpoint
from src.runs.folder import Run
from tests.faults.archives import checkpoints
from tests.faults.configs import configs
from tests.faults.pickles import MARK

SMALL = ["--data.val_size", "8", "--data.batch_size", "8"]
WARNING = "warning: "


def small_data(folder: Path) -> list[str]:
    """Write a few images of noise and return the words that train on them."""
    generator = torch.Generator().manual_seed(0)
    for images, labels, size in ((TRAIN_IMAGES, TRAIN_LABELS, 40), (TEST_IMAGES, TEST_LABELS, 20)):
        write_idx(folder / images, torch.randint(0, 256, (size, 28, 28), generator=generator, dtype=torch.uint8))
        write_idx(folder / labels, torch.randint(0, 10, (size,), generator=generator, dtype=torch.uint8))
    quiet = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    return ["--data.data_dir", str(folder), "--trainer.default_root_dir", ".", *quiet]


def run(words: list[str]) -> tuple[int, list[str]]:
    """Run a command as a user does, and return its exit code and the lines that it printed.

    Raises:
        AssertionError: If a line does something to a terminal, or a failure has none or several.
    """
    out, err = io.StringIO(), io.StringIO()
    streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with streams[0], streams[1], limits(), warnings.catch_warnings(action="ignore"):
        code = cli(words)
    assert not MARK.exists(), "code in the file ran"
    lines = [line for line in err.getvalue().split("\n")[:-1] if not line.startswith(WARNING)]
    assert len(lines) == (code in (2, 130)) or (code == 1 and len(lines) < 2), (code, lines)
    for line in lines:
        check_sentence(line)
    printed = out.getvalue().split("\n")[:-1]
    assert all(map(str.isprintable, [*printed, *err.getvalue().split("\n")])), (printed, err.getvalue())
    return code, printed


class ConfigReader(CLI):
    """The command line up to the Trainer, which does not run; built once, as that takes longer than to read a config.

    Args:
        data: The words that name the images and the folder for the runs.
    """

    def __init__(self, data: list[str]) -> None:
        self.data = data
        launch = Launch()
        super().__init__(["fit", *data], launch, Ranks(launch))
        self.complete: dict[str, Any] = yaml.safe_load(self.parsers[0].dump(self.request))

    def fit(self, *_: Any, **__: Any) -> None:
        """Leave nothing behind instead of training."""
        assert self.run is not None
        self.run.discard()

    def read(self, config: bytes | str) -> None:
        """Read a config or a flag and make everything that it asks for."""
        if isinstance(config, bytes):
            Path("config.yaml").write_bytes(config)
        self.words = ["fit", *(["--config", "config.yaml"] if isinstance(config, bytes) else [config]), *self.data]
        self.run = None
        self.parse_arguments(self.parser, None)
        self.parsers[0].dump(self.request, skip_unset=False)
        self.instantiate_classes()
        if self.run is not None:
            self.fit()


def try_configs(data: Path) -> Inputs:
    """Configs, and flags."""
    reader = ConfigReader([*small_data(data), *SMALL])
    return configs(reader.complete), b"model:\n  lr: 0.1\n", lambda config: outcome(lambda: reader.read(config))


def try_checkpoints(data: Path) -> Inputs:
    """Checkpoints, each with the command that uses it."""
    words = small_data(data)
    folder = Run(Path("lightning_logs/version_0"))

    def check(case: tuple[bytes, str]) -> str:
        content, subcommand = case
        shutil.rmtree(folder.path, ignore_errors=True)
        folder.last.parent.mkdir(parents=True)
        folder.last.write_bytes(content)
        found = outcome(lambda: Checkpoint.read(folder.last))
        if found != "accepted":
            return found
        epochs = ["--trainer.max_epochs", "3"] if subcommand == "fit" else []
        code, _ = run([subcommand, "--ckpt_path", "last", *words, "--inspection.enabled", "false", *epochs])
        return "refused later" if code else "used"

    fresh = [*SMALL, "--model.hidden_units", "[4]", "--checkpoints.every_n_steps", "2", "--trainer.max_epochs", "2"]
    averaged = ["--ema_decay", "0.9", "--model.weight_decay", "0.1", "--model.cosine", "true"]
    for recipe in ([], ["--model.steps_per_execution", "2"], averaged):
        cli(["fit", *words, *fresh, *recipe])
    wholes = [path.read_bytes() for path in sorted(Path("lightning_logs").glob("*/checkpoints/*.ckpt"))]
    subcommands = st.sampled_from(["fit", "validate", "test"])
    return st.tuples(checkpoints(wholes), subcommands), (wholes[0], "validate"), check
