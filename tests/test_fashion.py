"""Another member of the family, end to end, from Debian's package of it."""

import json
import os
from pathlib import Path

import pytest

from tests.conftest import run_process

FASHION = Path("/usr/share/datasets/fashion-mnist")


MISSING = "Debian's package dataset-fashion-mnist is not installed"


# where CI is set the package must be there: a check that is always skipped checks nothing
@pytest.mark.skipif(not FASHION.is_dir() and not os.environ.get("CI"), reason=MISSING)
def test_fashion_mnist_reaches_87_percent_in_ten_epochs(tmp_path: Path) -> None:
    assert FASHION.is_dir(), MISSING
    data = ["--data.dataset", "FashionMNIST", "--data.data_dir", str(FASHION)]
    fit = run_process("fit", "--config", "configs/mlp.yaml", *data, "--trainer.default_root_dir", str(tmp_path))
    result = json.loads((tmp_path / "lightning_logs" / "version_0" / "result.json").read_text())

    assert (fit.code, fit.err) == (0, "")
    assert result["data"]["dataset"] == "FashionMNIST"
    assert result["best"]["val/acc"] >= 0.87
