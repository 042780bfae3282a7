"""The main job on the real images, as a process."""

import json
import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, run_process


@pytest.mark.usefixtures("mnist")
def test_one_epoch_of_the_real_mnist_passes_93_percent(tmp_path: Path) -> None:
    place = ["--trainer.default_root_dir", str(tmp_path), "--trainer.max_epochs", "1"]
    fit = run_process("fit", "--config", "configs/mlp.yaml", *place)
    test = run_process("test", "--ckpt_path", str(tmp_path / "lightning_logs" / "version_0"))
    result = json.loads((tmp_path / "lightning_logs" / "version_0" / "result.json").read_text())

    assert (fit.code, fit.err, test.code, test.err) == (0, "", 0, "")
    assert result["data"]["split"] == {"train": 48_000, "val": 12_000}
    assert result["best"]["val/acc"] > 0.93
    assert "Parameters           203,530" in fit.out
    assert re.search(r"test/acc: 0\.9[2-9]\d\d - test/loss: 0\.\d{4} - 9,\d{3} of 10,000 right", test.out)


def test_the_project_installs_no_package_named_src() -> None:
    site = next((REPOSITORY / ".venv" / "lib").glob("python*/site-packages"), None)
    if site is None:
        pytest.skip("made by make: there is no .venv here")
    assert not (site / "src").exists()
    assert not list(site.glob("__editable__*mnist*"))
