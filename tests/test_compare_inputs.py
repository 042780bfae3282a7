"""What compare needs no other run for: the chance that it computes, its help, and values that no checkpoint has."""

from pathlib import Path

import pytest
import torch

from src.cli.main import main
from src.compare import mcnemar
from tests.faults.checkpoints import put
from tests.training import checkpoint


@pytest.mark.parametrize(
    ("one", "other", "chance"),
    [([], [], 1.0), ([1, 2], [1, 2], 1.0), ([1, 2, 3], [3], 0.5), ([0, *range(2, 11)], [1], 2 * 12 / 2**11)],
)
def test_mcnemar_counts_what_only_one_of_two_reads_wrong(one: list[int], other: list[int], chance: float) -> None:
    assert mcnemar(one, other) == mcnemar(other, one) == pytest.approx(chance)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("config", "data", "val_size"), "text"),
        (("config", "data", "val_size"), -5),
        (("config", "data", "folds"), [1]),
        (("callbacks", "History", "epochs"), [5]),
        (("callbacks", "History", "epochs"), [{"val/acc": torch.zeros(2)}]),
    ],
)
def test_a_checkpoint_with_other_values_is_refused_by_its_name(
    keys: tuple[str, ...], value: object, own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = checkpoint(own_run, "best")
    put(content, keys, value)
    torch.save(content, tmp_path / "hostile.ckpt")
    assert main(["compare", *[str(tmp_path / "hostile.ckpt")] * 2]) == 2
    err = capsys.readouterr().err

    assert f"{tmp_path / 'hostile.ckpt'} " in err
    assert err.count("\n") == 1


def test_another_share_of_the_pictures_to_test_on_is_refused(
    own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = checkpoint(own_run, "best")
    put(content, ("config", "data", "test_size"), 0.5)
    torch.save(content, tmp_path / "other.ckpt")

    assert main(["compare", str(own_run), str(tmp_path / "other.ckpt"), "--split", "test"]) == 2
    assert "--data.test_size is 0.2 for" in capsys.readouterr().err


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["compare", "--help"])

    assert "python -m src.cli compare lightning_logs/version_0 lightning_logs/version_1" in " ".join(
        capsys.readouterr().out.split()
    )
