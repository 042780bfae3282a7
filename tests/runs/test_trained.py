import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from src.common.errors import UsageError
from src.data.datamodule import MNISTDataModule
from src.model.classifier import Classifier
from src.runs.trained import Trained
from tests.conftest import REPOSITORY, Cli
from tests.data.test_arrays import write


@pytest.mark.parametrize("normalization", ["unit", "standard", "[0.2,0.3]"])
def test_raw_pixels_give_the_logits_that_evaluation_gives(
    normalization: str, cli: Cli, tmp_path: Path, digits: Path
) -> None:
    epoch = ["--trainer.max_epochs", "1", "--inspection.enabled", "false"]
    assert cli("fit", *epoch, "--data.normalization", normalization).code == 0
    best = tmp_path / "lightning_logs" / "version_0" / "checkpoints" / "best.ckpt"

    trained = Trained.load(str(best))

    data = MNISTDataModule(data_dir=str(digits), val_size=60)
    data.mean_std = (trained.network.mean, trained.network.std)
    data.setup("test")
    images = data.splits["test"].images
    expected = Classifier.load_from_checkpoint(best, weights_only=True)(data.normalize(images)).cpu()
    logits, probabilities = trained.network(images)
    assert torch.equal(logits, expected)
    assert torch.equal(probabilities, expected.softmax(dim=1))
    assert trained.classes == data.classes


def test_the_newest_run_is_found_as_by_the_other_commands(own_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own_run.parents[1])

    assert Trained.load("best").checkpoint == Path("lightning_logs/version_0/checkpoints/best.ckpt")
    shutil.rmtree(own_run)
    with pytest.raises(UsageError, match="train one first"):
        Trained.load("best")


def test_loading_says_nothing(own_run: Path) -> None:
    best = own_run / "checkpoints" / "best.ckpt"
    code = f"from src.runs.trained import Trained; print(Trained.load({str(best)!r}).classes[3])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("3\n", "")


def test_data_of_another_size_than_the_network_takes_is_refused(trained: Path, tmp_path: Path) -> None:
    """Pictures are given the size, and other data sets have one: only arrays can be of another."""
    write(tmp_path, (6, 5))
    network = replace(Trained.load(str(trained)), recipe={"data": {"dataset": "arrays", "data_dir": str(tmp_path)}})
    with pytest.raises(UsageError, match=r"^the data has images of 6 x 5, and the network takes 28 x 28\.$"):
        network.locate()
    assert replace(network, image_shape=(6, 5)).locate().files[0] == tmp_path / "x_train.npy"
