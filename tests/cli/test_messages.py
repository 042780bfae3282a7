"""Arguments in notebooks are flags on the command line."""

from pathlib import Path

import pytest

from src.cli.commands import with_flags
from src.cli.main import main
from src.common.errors import UsageError
from src.data.datamodule import MNISTDataModule
from src.model.classifier import Classifier
from tests.conftest import Cli


def test_in_a_notebook_an_argument_is_called_by_its_name() -> None:
    with pytest.raises(UsageError, match=r"^`dropout` must be at least 0 and below 1, got 50\.$"):
        Classifier(dropout=50)
    with pytest.raises(UsageError, match=r"^`batch_size` must be a whole number from 1 up, got 0\.$"):
        MNISTDataModule(batch_size=0)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--model.dropout", "50"), "error: --model.dropout must be at least 0 and below 1, got 50.0.\n"),
        (("--data.batch_size", "0"), "error: --data.batch_size must be a whole number from 1 up, got 0.\n"),
        (("--data.distortion.shift", "99"), "error: --data.distortion.shift must be between 0 and 28, got 99.0.\n"),
        (
            ("--model.cuda_graph", "true"),
            "error: --model.cuda_graph needs several steps to capture: give --model.steps_per_execution 48.\n",
        ),
    ],
)
def test_on_the_command_line_it_is_called_by_its_flag(words: tuple[str, ...], says: str, cli: Cli) -> None:
    assert cli("fit", *words).err == says


def test_a_command_has_flags_of_its_own(own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--ckpt_path", str(own_run), "--output", str(tmp_path / "network.pt2"), "--data_dir", str(tmp_path)]

    assert main(["export", *words]) == 2
    assert "--data_dir" in (told := capsys.readouterr().err)
    assert "--data." not in told and "`" not in told


def test_what_is_no_argument_stays_as_it_is() -> None:
    assert (
        with_flags("`thresholds`, `lr` and `trainer.max_epochs`") == "`thresholds`, --model.lr and --trainer.max_epochs"
    )
