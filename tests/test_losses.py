"""Another loss and other metrics, by flags and configs alone."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_f1_score

from src.data.checks import TRAIN_IMAGES, TRAIN_LABELS
from src.data.idx import read_idx
from src.runs.trained import Trained
from tests.conftest import Cli
from tests.training import EPOCHS, checkpoint, recorded, run_folder, same_training

WEIGHTS = [1, 2, 1, 1, 0.5, 1, 1, 1, 3, 1]
LOSS = ["--model.loss", "CrossEntropyLoss", "--model.loss.label_smoothing", "0.1", "--model.loss.weight", f"{WEIGHTS}"]
F1 = ["--model.metrics+=MulticlassF1Score", "--model.metrics.average=macro"]


def best(run: Path) -> dict[str, Any]:
    return recorded(run)["best"]


def validated(run: Path, digits: Path) -> tuple[Tensor, Tensor]:
    """Logits and labels of the validation images, by what best.ckpt holds."""
    images = read_idx(digits / TRAIN_IMAGES)[-60:]
    labels = read_idx(digits / TRAIN_LABELS)[-60:].long()
    return Trained.load(str(run)).network(images)[0].detach(), labels


def test_loss_and_metric_are_what_they_are_by_hand(cli: Cli, tmp_path: Path, digits: Path) -> None:
    answer = cli("fit", *EPOCHS, *LOSS, *F1)
    run = run_folder(tmp_path)
    logits, labels = validated(run, digits)
    loss = functional.cross_entropy(
        logits, labels, weight=torch.tensor(WEIGHTS), label_smoothing=0.1, reduction="sum"
    ) / len(labels)

    assert (answer.code, answer.err) == (0, "")
    assert best(run)["val/loss"] == pytest.approx(float(loss), rel=1e-5)
    assert best(run)["val/f1"] == pytest.approx(float(multiclass_f1_score(logits, labels, 10, average="macro")))
    assert " - f1: " in answer.out
    assert " - val_f1: " in answer.out


def test_they_come_back_with_the_checkpoint_and_training_goes_on_bit_for_bit(cli: Cli, tmp_path: Path) -> None:
    words = [*LOSS, *F1, "--model.steps_per_execution", "2"]
    assert cli("fit", *EPOCHS, *words).code == 0
    assert cli("fit", *EPOCHS, *words, "--trainer.max_epochs", "2").code == 0
    whole, parts = run_folder(tmp_path), run_folder(tmp_path, 1)
    answer = cli("fit", "--ckpt_path", str(parts), "--trainer.max_epochs", "3")
    tested = cli("test", "--ckpt_path", str(parts))

    assert (answer.code, answer.err, tested.code, tested.err) == (0, "", 0, "")
    assert same_training(checkpoint(whole), checkpoint(parts))
    assert {name: best(whole)[name] for name in ("val/f1", "val/loss")} == {
        name: best(parts)[name] for name in ("val/f1", "val/loss")
    }
    assert {"test/f1", "test/loss", "test/acc"} <= recorded(parts, "test").keys()
    refused = cli(
        "fit", "--ckpt_path", str(parts), "--trainer.max_epochs", "4", *LOSS, "--model.loss.label_smoothing=0.2"
    )
    assert refused.code == 2
    assert "--model.loss.label_smoothing 0.2 differs from" in refused.err


def test_a_loss_of_the_users_own_is_named_again_for_its_checkpoint(cli: Cli, tmp_path: Path) -> None:
    loss = ["--model.loss", "tests.losses.Focal", "--model.loss.gamma", "1"]
    assert cli("fit", *EPOCHS, *loss).code == 0
    refused = cli("test", "--ckpt_path", "best")
    answer = cli("test", "--ckpt_path", "best", *loss)

    assert refused.code == 2
    assert "names the class 'tests.losses.Focal' for model.loss, which no checkpoint brings back" in refused.err
    assert (answer.code, answer.err) == (0, "")


def test_an_old_checkpoint_is_evaluated_by_another_loss(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS, *LOSS)
    cli("fit", *EPOCHS)
    weighted, plain = str(run_folder(tmp_path)), str(run_folder(tmp_path, 1))
    ones = ["--model.loss", "CrossEntropyLoss", "--model.loss.weight", f"{[1] * 10}", "--model.loss.label_smoothing=0"]
    losses = []
    for words in ([weighted, "--model.loss", "null"], [weighted, *ones], [plain, *LOSS], [plain, *ones]):
        answer = cli("validate", "--ckpt_path", *words)
        assert (answer.code, answer.err) == (0, "")
        losses += re.findall(r"val/loss: ([\d.]+)", answer.out)

    assert losses[0] == losses[1]
    assert losses[2] != losses[3] == f"{best(Path(plain))['val/loss']:.4f}"


def test_what_a_loss_learned_comes_back(cli: Cli, tmp_path: Path) -> None:
    loss = ["--model.loss", "tests.losses.Scaled"]
    assert cli("fit", *EPOCHS, *loss).code == 0
    scale = checkpoint(run_folder(tmp_path), "best")["state_dict"]["criterion.scale"]
    validated = cli("validate", "--ckpt_path", "best", *loss)

    assert scale != 1
    assert f"val/loss: {best(run_folder(tmp_path))['val/loss']:.4f}" in validated.out


REFUSED = {
    "--model.loss nope": "--model.loss: there is no nope; name one of torch.nn.modules.loss, or a class by its",
    "--model.loss CrossEntropyLos": "--model.loss: there is no CrossEntropyLos; did you mean CrossEntropyLoss?",
    "--model.loss tests.nowhere.Loss": "--model.loss: tests.nowhere.Loss cannot be imported as such a class: check",
    "--model.loss tests.losses.Forgetful": "--model.loss tests.losses.Forgetful has no argument `reduction`",
    "--model.loss tests.losses.Stubborn": "--model.loss Stubborn is not the sum over a batch's images, so devices",
    "--model.loss MSELoss": "--model.loss MSELoss cannot take logits (4, 10) with labels (4,) (The size of tensor a",
    "--model.loss CrossEntropyLoss --model.loss.weight [1,2]": "cannot take logits (4, 10) with labels (4,) (weight",
    "--model.loss CrossEntropyLoss --model.loss.weight [a]": "--model.loss.weight does not fit: put it after its class",
    "--model.loss.label_smoothing 0.1": "--model.loss.label_smoothing does not fit: put it after its class",
    "--model.metrics+=MulticlassF1": "--model.metrics: there is no MulticlassF1; did you mean MulticlassF1Score?",
    "--model.metrics+=MulticlassAUROC": "auroc: MulticlassAUROC keeps every prediction of an epoch, which no checkp",
    "--model.metrics+=MulticlassConfusionMatrix": "MulticlassConfusionMatrix is not one number: set its `average`",
    "--model.metrics+=MulticlassF1Score --model.metrics.average=some": "--model.metrics.average does not fit: the cl",
    "--model.metrics+=BinaryAccuracy": "--model.metrics has a class that cannot be made (Expected argument `threshold`",
    "--model.metrics+=F1Score": "name a class such as MulticlassF1Score, or mend its arguments.",
    "--model.metrics+=MulticlassF1Score --model.metrics+=MulticlassF1Score": "--model.metrics has two called f1: leav",
    "--model.metrics+=tests.losses.Largest": "--model.metrics: Largest cannot be added up over devices: name a",
    "--model.metrics+=MulticlassFBetaScore --model.metrics.num_classes=10": "made (Expected argument `beta` to be",
    "--model.metrics+=MulticlassHammingDistance --checkpoints.monitor val/hamming_distance": "--checkpoints.mode min",
    "--checkpoints.monitor val/f1": "--checkpoints.monitor val/f1: validation has val/loss, val/acc; name one of them.",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_would_do_harm_is_refused_before_a_run_is_made(words: str, cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *EPOCHS, *words.split())

    assert answer.code == 2
    assert REFUSED[words] in answer.err
    assert len(answer.err.splitlines()) == 1
    assert not (tmp_path / "lightning_logs").exists()
