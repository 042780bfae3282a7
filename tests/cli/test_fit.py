"""What a training prints, records and leaves, and what it is told by flags."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from src.data.checks import TRAIN_IMAGES, TRAIN_LABELS
from src.data.datasets import DATASETS
from src.data.idx import read_idx
from src.model.classifier import Classifier
from tests.conftest import DRAWN, Cli, run_process
from tests.training import EPOCHS, METRICS, checkpoint, curves, recorded, results, run_folder, same_training


def test_fit_leaves_the_run_folder_that_is_promised(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *EPOCHS, *DRAWN)
    run = run_folder(tmp_path)
    result = recorded(run)

    assert (answer.code, answer.err) == (0, "")
    names = {path.name for path in run.iterdir() if not path.name.startswith("events.")}
    projector = {"projector", "projector_config.pbtxt"}
    assert names == {".lock", "checkpoints", "config.yaml", "hparams.yaml", "result.json", *projector}
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt", "last.prev.ckpt"}
    assert result["seed"] == 42
    assert result["parameters"] == 203_530
    assert result["data"]["split"] == {"train": 170, "val": 60}
    assert [len(digest) for digest in result["data"]["sha256"].values()] == [64] * 4
    assert result["versions"]["torch"] == torch.__version__.split("+")[0]
    assert [epoch["epoch"] for epoch in result["epochs"]] == [1, 2, 3]
    assert result["best"]["val/acc"] == max(epoch["val/acc"] for epoch in result["epochs"])
    assert result["best"]["checkpoint"] == str(run / "checkpoints" / "best.ckpt")
    assert result["total_seconds"] == pytest.approx(sum(epoch["seconds"] for epoch in result["epochs"]))
    assert yaml.safe_load((run / "hparams.yaml").read_text())["hidden_units"] == [256]


def test_a_pipe_gets_a_line_an_epoch_and_the_way_on(cli: Cli, tmp_path: Path) -> None:
    out = cli("fit", *EPOCHS).out

    number = r"\d+\.\d{4}"
    metrics = " - ".join(rf"{name}: {number}" for name in ("loss", "acc", "val_loss", "val_acc"))
    line = rf"^Epoch (\d)/3 - (?:\d+\.\ds|\d+ms) - {metrics}$"
    assert re.findall(line, out, re.MULTILINE) == ["1", "2", "3"]
    assert re.search(r"784 -> 256 +200,960\n.*256 -> 10 +2,570\nParameters +203,530\n", out)
    assert re.search(rf"Best val/acc {number} in epoch \d: .*best\.ckpt", out)
    assert f"tensorboard --logdir {tmp_path / 'lightning_logs'}" in out


def test_a_terminal_gets_a_bar_with_loss_and_accuracy(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("src.callbacks.console.REFRESH_SECONDS", 0)
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: True)
    out = cli("fit", *EPOCHS).out

    assert re.search(r"Epoch 2/3 +\d+% \|.*\| .*loss: \d\.\d{4} - acc: \d\.\d{4}", out)
    assert re.search(r"Epoch 2/3 - (?:\d+\.\ds|\d+ms) - loss", out)


def test_tensorboard_has_each_epoch_once_at_its_number_with_the_metrics_of_the_weights(
    cli: Cli, tmp_path: Path, digits: Path
) -> None:
    cli("fit", *EPOCHS)
    points = curves(run_folder(tmp_path))
    model = Classifier.load_from_checkpoint(run_folder(tmp_path) / "checkpoints" / "last.ckpt", weights_only=True)
    images = read_idx(digits / TRAIN_IMAGES)[-60:].numpy() / 255.0
    labels = read_idx(digits / TRAIN_LABELS)[-60:].numpy()
    with torch.no_grad():
        logits = model(torch.from_numpy(images).float()).double().numpy()
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(60), labels]

    for name in (*METRICS, "trainer/lr", "trainer/samples_per_second"):
        assert [step for step, _ in points[name]] == [1, 2, 3]
    assert points["val/acc"][-1][1] == pytest.approx((logits.argmax(axis=1) == labels).mean(), abs=1e-6)
    assert points["val/loss"][-1][1] == pytest.approx(losses.mean(), rel=1e-5)
    assert points["trainer/lr"][0][1] == pytest.approx(1e-3)
    assert points["val/best_acc"] == [(3, pytest.approx(max(value for _, value in points["val/acc"])))]


def test_train_metrics_are_means_over_the_epochs_batches(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, int, int]] = []
    step = Classifier.training_loss

    def spy(self: Classifier, images: torch.Tensor, labels: torch.Tensor, *others: Any) -> tuple[torch.Tensor, ...]:
        results = step(self, images, labels, *others)
        with torch.no_grad():
            correct = int((self(images).argmax(dim=1) == labels).sum())
        seen.append((float(results[1].detach()), correct, len(labels)))
        return results

    monkeypatch.setattr(Classifier, "training_loss", spy)
    cli("fit", "--trainer.max_epochs", "1")
    losses, correct, sizes = map(np.array, zip(*seen, strict=True))
    record = results(run_folder(tmp_path))[0]

    assert sizes.tolist() == [32, 32, 32, 32, 32, 10]
    assert record["train/loss"] == pytest.approx(losses.sum() / 170, rel=1e-6)
    assert record["train/acc"] == pytest.approx(correct.sum() / 170, rel=1e-6)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(cli: Cli, tmp_path: Path) -> None:
    for seed in ("3", "3", "4"):
        cli("fit", *EPOCHS, "--seed_everything", seed, "--model.dropout", "0.5")
    one, same, other = (checkpoint(run_folder(tmp_path, number)) for number in range(3))

    assert same_training(one, same)
    assert not same_training(one, other)


def test_without_a_validation_split_there_is_no_best_and_it_says_so(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *EPOCHS, "--data.val_size", "0")

    assert answer.code == 0
    assert f"no best.ckpt; the last epoch is {run_folder(tmp_path)}/checkpoints/last.ckpt" in answer.out
    assert not (run_folder(tmp_path) / "checkpoints" / "best.ckpt").exists()
    assert "val/acc" not in curves(run_folder(tmp_path))
    assert cli("validate", "--ckpt_path", "last").code == 2


def test_the_networks_outputs_follow_the_data_set(cli: Cli, tmp_path: Path, digits: Path) -> None:
    letters = tmp_path / "letters"
    letters.mkdir()
    for ours, theirs in zip(DATASETS["MNIST"].files, DATASETS["EMNIST/balanced"].files, strict=True):
        (letters / theirs).write_bytes((digits / ours).read_bytes())
    data = ["--data.dataset", "EMNIST/balanced", "--data.data_dir", str(letters)]

    assert cli("fit", *EPOCHS, *data).code == 0
    assert checkpoint(run_folder(tmp_path))["state_dict"]["net.linear2.weight"].shape == (47, 256)
    assert cli("test", "--ckpt_path", "best").code == 0


def test_leaving_quickly_loses_nothing(tmp_path: Path, digits: Path) -> None:
    (tmp_path / "farewell.py").write_text(
        "import atexit\n"
        "from lightning.pytorch import Callback\n"
        "class Farewell(Callback):\n"
        "    def on_fit_end(self, trainer, module):\n"
        "        atexit.register(print, 'farewell')\n"
    )
    place = ["--trainer.default_root_dir", str(tmp_path), "--data.data_dir", str(digits), "--data.batch_size", "32"]
    short = ["--data.val_size", "60", "--trainer.max_epochs", "1", "--inspection.enabled", "false"]

    environment: dict[str, Any] = {"PYTHONPATH": str(tmp_path), "PYTHONUNBUFFERED": ""}
    fit = run_process("fit", *place, *short, "--trainer.callbacks", "farewell.Farewell", **environment)
    listed = run_process("--help", **environment)

    assert (fit.code, fit.out.splitlines()[-1], fit.err) == (0, "farewell", "")
    assert listed.code == 0
    assert "subcommands:" in listed.out
