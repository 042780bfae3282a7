"""Whole commands on small synthetic data, in this process."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch import Callback, Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.cli.main import main
from src.data.checks import TRAIN_IMAGES, TRAIN_LABELS
from src.data.datasets import DATASETS
from src.data.idx import read_idx
from src.model.classifier import Classifier
from tests.conftest import DRAWN, TEST_SIZE, Cli, run_process

METRICS = ("train/loss", "train/acc", "val/loss", "val/acc")
EPOCHS = ("--trainer.max_epochs", "3")
ONE_STEP = {"steps_per_execution": 1, "cuda_graph": False, "seed": 42}


def run_folder(tmp_path: Path, number: int = 0) -> Path:
    return tmp_path / "lightning_logs" / f"version_{number}"


def checkpoint(folder: Path, name: str = "last") -> dict[str, Any]:
    content: dict[str, Any] = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
    return content


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    names = events.Tags()["scalars"]
    return {name: [(point.step, point.value) for point in events.Scalars(name)] for name in names}


def results(folder: Path) -> list[dict[str, float]]:
    epochs: list[dict[str, float]] = json.loads((folder / "result.json").read_text())["epochs"]
    return [{name: epoch[name] for name in ("epoch", *METRICS)} for epoch in epochs]


def same_training(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Compare weights and Adam's state bit for bit."""
    states = [
        [*each["state_dict"].values()]
        + [value for state in each["optimizer_states"][0]["state"].values() for value in state.values()]
        for each in (one, other)
    ]
    return all(first.equal(second) for first, second in zip(*states, strict=True))


def test_fit_leaves_the_run_folder_that_is_promised(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *EPOCHS, *DRAWN)
    run = run_folder(tmp_path)
    result = json.loads((run / "result.json").read_text())

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


@pytest.mark.parametrize("flags", ["", "--trainer.limit_train_batches 3", "--trainer.limit_train_batches 1"])
def test_a_resumed_run_equals_the_uninterrupted_one(cli: Cli, tmp_path: Path, flags: str) -> None:
    cli("fit", "--trainer.max_epochs", "5", *flags.split())
    cli("fit", "--trainer.max_epochs", "2", *flags.split())
    place = ["--trainer.default_root_dir", str(tmp_path), "--trainer.accelerator", "cpu"]
    answer = run_process("fit", "--ckpt_path", "last", "--trainer.max_epochs", "5", *place)
    whole, resumed = run_folder(tmp_path, 0), run_folder(tmp_path, 1)

    assert (answer.code, answer.err) == (0, "")
    assert len(list((tmp_path / "lightning_logs").iterdir())) == 2
    assert same_training(checkpoint(whole), checkpoint(resumed))
    assert results(whole) == results(resumed)
    for name in METRICS:
        assert curves(resumed)[name] == curves(whole)[name]
    assert yaml.safe_load((resumed / "config.yaml").read_text())["trainer"]["max_epochs"] == 5
    assert yaml.safe_load((resumed / "hparams.yaml").read_text())["max_epochs"] == 5
    limit = checkpoint(resumed)["config"]["trainer"]["limit_train_batches"]
    batches = 6 if limit is None else limit
    assert checkpoint(resumed)["global_step"] == 5 * batches


def test_going_back_one_epoch_repeats_no_point_of_the_curves(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    before = curves(run_folder(tmp_path))
    place = ["--trainer.default_root_dir", str(tmp_path), "--trainer.accelerator", "cpu"]
    previous = run_folder(tmp_path) / "checkpoints" / "last.prev.ckpt"
    answer = run_process("fit", "--ckpt_path", str(previous), *place)

    assert (answer.code, answer.err) == (0, "")
    assert [path.name for path in (tmp_path / "lightning_logs").iterdir()] == ["version_0"]
    assert [epoch["epoch"] for epoch in results(run_folder(tmp_path))] == [1, 2, 3]
    assert {name: curves(run_folder(tmp_path))[name] for name in METRICS} == {name: before[name] for name in METRICS}


class SaveAt(Callback):
    """Saves and stops in the middle of an epoch."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, *arguments: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "middle.ckpt")


@pytest.mark.parametrize("flags", ["", "--data.split stratified", "--data.memory_map true"])
def test_a_checkpoint_in_the_middle_of_an_epoch_resumes_at_the_next_batch(cli: Cli, tmp_path: Path, flags: str) -> None:
    save = ["--trainer.callbacks+=tests.test_cli.SaveAt", "--trainer.callbacks.step", "9"]  # the third of epoch 2's six
    cli("fit", *EPOCHS, *flags.split(), *save)
    answer = cli("fit", "--ckpt_path", str(tmp_path / "middle.ckpt"))

    assert (answer.code, answer.err) == (0, "")
    assert same_training(checkpoint(run_folder(tmp_path)), checkpoint(run_folder(tmp_path, 1)))
    assert results(run_folder(tmp_path)) == results(run_folder(tmp_path, 1))
    epochs = json.loads((run_folder(tmp_path, 1) / "result.json").read_text())["epochs"]
    assert [round(each["seconds"] * each["samples_per_second"]) for each in epochs] == [170, 170 - 3 * 32, 170]


def test_a_64_bit_run_goes_on_in_32_bits(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS, "--trainer.precision", "64-true")
    answer = cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "4", "--trainer.precision", "32-true")

    assert answer.code == 0
    assert cli("test", "--ckpt_path", "last").code == 0
    assert {value.dtype for value in checkpoint(run_folder(tmp_path))["state_dict"].values()} == {torch.float32}


def test_validation_can_come_by_the_clock(cli: Cli) -> None:
    flags = ("--trainer.val_check_interval", "00:01:00:00")
    assert cli("fit", *EPOCHS, *flags, "--model.steps_per_execution", "1").code == 0


def test_a_job_of_slurm_without_srun_is_one_process(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "1")
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    assert cli("fit", *EPOCHS).code == 0


def test_resuming_a_finished_run_changes_nothing_and_says_so(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    before = curves(run_folder(tmp_path))
    answer = cli("fit", "--ckpt_path", "last")

    assert answer.code == 0
    assert "Nothing left to train: 3 epochs are done" in answer.out
    assert "Trained" not in answer.out
    assert curves(run_folder(tmp_path)) == before


def test_training_on_from_best_starts_a_run_of_its_own(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    before = (run_folder(tmp_path) / "checkpoints" / "last.ckpt").read_bytes()
    cli("fit", "--ckpt_path", "best", "--trainer.max_epochs", "6")

    assert (run_folder(tmp_path) / "checkpoints" / "last.ckpt").read_bytes() == before
    assert [epoch["epoch"] for epoch in results(run_folder(tmp_path, 1))] == [1, 2, 3, 4, 5, 6]


def test_a_branch_that_never_gets_better_names_its_own_best(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("fit", "--trainer.max_epochs", "6")
    loss = Classifier.loss
    monkeypatch.setattr(Classifier, "loss", lambda self, images, labels: loss(self, images, 9 - labels))
    answer = cli("fit", "--ckpt_path", "best", "--trainer.max_epochs", "8")
    cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "9")
    branch = run_folder(tmp_path, 1)
    result = json.loads((branch / "result.json").read_text())
    start = checkpoint(run_folder(tmp_path), "best")["epoch"] + 1

    assert answer.code == 0
    assert result["best"]["val/acc"] == max(epoch["val/acc"] for epoch in result["epochs"][start:])
    assert result["best"]["val/acc"] < max(epoch["val/acc"] for epoch in result["epochs"][:start])
    assert result["best"]["epoch"] == checkpoint(branch, "best")["epoch"] + 1


@pytest.mark.parametrize("change", ["--data.batch_size 50", "--seed_everything 7", "--data.split stratified"])
def test_the_rest_of_an_epoch_keeps_its_batches(cli: Cli, tmp_path: Path, change: str) -> None:
    cli("fit", *EPOCHS, "--trainer.callbacks+=tests.test_cli.SaveAt", "--trainer.callbacks.step", "9")
    answer = cli("fit", "--ckpt_path", str(tmp_path / "middle.ckpt"), *change.split())

    assert answer.code == 2
    assert f"{change} differs from {tmp_path}" in answer.err


def test_a_runs_config_runs_it_again_to_the_same_weights(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS, "--seed_everything", "9", "--model.lr", "0.01", "--data.normalization", "standard")
    cli("fit", "--config", str(run_folder(tmp_path) / "config.yaml"))

    assert same_training(checkpoint(run_folder(tmp_path)), checkpoint(run_folder(tmp_path, 1)))


def test_every_checkpoint_loads_without_running_code_and_holds_plain_hyperparameters(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    for name in ("best", "last", "last.prev"):
        content = checkpoint(run_folder(tmp_path), name)
        assert content["hyper_parameters"] == {
            "network": "mlp",
            "hidden_units": [256],
            "dropout": 0.0,
            "lr": 0.001,
            "weight_decay": 0.0,
            "warmup_steps": 0,
            "cosine": False,
            "num_classes": 10,
            "image_shape": [28, 28],
            "compile": False,
            **ONE_STEP,
        }
        assert content["config"]["data"]["batch_size"] == 32


def test_evaluation_writes_into_the_run_and_makes_no_other(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    run = run_folder(tmp_path)
    assert cli("validate", "--ckpt_path", str(run)).code == 0
    answer = cli("test", "--ckpt_path", "best")
    validated, tested = (json.loads((run / name).read_text()) for name in ("validate.json", "test.json"))
    best = json.loads((run / "result.json").read_text())["best"]

    assert (answer.code, answer.err) == (0, "")
    assert f"test/acc: {tested['test/acc']:.4f}" in answer.out
    assert validated["val/acc"] == pytest.approx(best["val/acc"])
    assert validated["val/loss"] == pytest.approx(best["val/loss"])
    assert tested.keys() == {"test/acc", "test/loss", "samples", "correct", "checkpoint", "devices"}
    assert tested["samples"] == TEST_SIZE
    assert tested["correct"] / TEST_SIZE == pytest.approx(tested["test/acc"])
    assert tested["checkpoint"] == str(run / "checkpoints" / "best.ckpt")
    assert [path.name for path in (tmp_path / "lightning_logs").iterdir()] == ["version_0"]


def test_a_checkpoint_brings_its_network_data_and_normalization(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS, "--model.hidden_units", "[12,7]", "--data.normalization", "standard", "--data.val_size", "50")
    cli("validate", "--ckpt_path", "best")
    best = json.loads((run_folder(tmp_path) / "result.json").read_text())["best"]
    validated = json.loads((run_folder(tmp_path) / "validate.json").read_text())

    assert validated["samples"] == 50
    assert validated["val/loss"] == pytest.approx(best["val/loss"])


def test_flags_beat_the_checkpoint_where_they_can(cli: Cli, tmp_path: Path) -> None:
    cli("fit", *EPOCHS)
    cli("validate", "--ckpt_path", "best", "--data.val_size", "40")

    assert json.loads((run_folder(tmp_path) / "validate.json").read_text())["samples"] == 40


FOLD = ["--data.val_size", "12000", "--data.folds", "4", "--data.fold", "0"]


@pytest.mark.parametrize("split", ["tail", "stratified"])
def test_a_checkpoint_brings_its_fold(cli: Cli, tmp_path: Path, split: str) -> None:
    assert cli("fit", *EPOCHS, *FOLD, "--data.split", split).code == 0
    run = run_folder(tmp_path)
    validated = cli("validate", "--ckpt_path", "best")
    best = json.loads((run / "result.json").read_text())["best"]
    result = json.loads((run / "validate.json").read_text())

    assert (validated.code, validated.err) == (0, "")
    assert result["samples"] == (58 if split == "stratified" else 57)
    assert result["val/loss"] == pytest.approx(best["val/loss"])
    assert cli("test", "--ckpt_path", "best").code == 0
    assert json.loads((run / "test.json").read_text())["samples"] == TEST_SIZE
    hparams = yaml.safe_load((run / "hparams.yaml").read_text())
    assert (hparams["fold"], hparams["folds"]) == (0, 4)
    for flag in ("fold 1", "folds 5"):
        refused = cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "5", f"--data.{flag.split()[0]}", flag[-1])
        assert (refused.code, f"--data.{flag} differs from {run}" in refused.err) == (2, True), refused
    assert cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "4").code == 0


def test_a_training_that_was_begun_without_folds_goes_on_without(cli: Cli, tmp_path: Path) -> None:
    assert cli("fit", *EPOCHS).code == 0
    assert "fold" not in (run_folder(tmp_path) / "hparams.yaml").read_text()
    refused = cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "4", *FOLD)

    assert refused.code == 2
    assert "differs from" in refused.err


def test_later_configs_and_flags_win(cli: Cli, tmp_path: Path) -> None:
    for name, lr in (("a", 0.5), ("b", 0.25)):
        (tmp_path / f"{name}.yaml").write_text(f"model:\n  lr: {lr}\n  dropout: 0.1\n")
    configs = ["--config", str(tmp_path / "a.yaml"), "--config", str(tmp_path / "b.yaml")]
    cli("fit", "--trainer.max_epochs", "1", *configs, "--model.dropout", "0.2")
    config = yaml.safe_load((run_folder(tmp_path) / "config.yaml").read_text())

    assert config["model"]["lr"] == 0.25
    assert config["model"]["dropout"] == 0.2


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


@pytest.mark.parametrize(
    "flags",
    [
        "--trainer.accumulate_grad_batches 2 --trainer.gradient_clip_val 1",
        "--trainer.precision 64-true",
        "--trainer.precision bf16-mixed",
        "--trainer.logger false",
        "--trainer.limit_train_batches 3",
        "--trainer.limit_train_batches 0.5",
        "--trainer.enable_checkpointing false",
        "--trainer.check_val_every_n_epoch 2",
        "--trainer.callbacks+=lightning.pytorch.callbacks.EarlyStopping --trainer.callbacks.monitor=train/loss",
        "--trainer.callbacks+=lightning.pytorch.callbacks.ModelCheckpoint --trainer.callbacks.monitor=val/acc",
    ],
)
def test_the_trainers_own_flags_keep_working(cli: Cli, tmp_path: Path, flags: str) -> None:
    answer = cli("fit", *EPOCHS, *flags.split())

    assert (answer.code, answer.err) == (0, "")
    epochs = json.loads((run_folder(tmp_path) / "result.json").read_text())["epochs"]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    assert ["val/acc" in epoch for epoch in epochs] == ([False, True, False] if "check_val" in flags else [True] * 3)


EXPLANATIONS = {
    "model.network": "mlp is the MLP, cnn has two",
    "model.hidden_units": "Units of each fully connected hidden layer",
    "model.dropout": "Probability with which",
    "model.lr": "Learning rate of Adam",
    "model.weight_decay": "How much of each weight",
    "model.warmup_steps": "Over so many optimizer steps",
    "model.cosine": "Let the learning rate fall",
    "model.loss": "A class of torch.nn in the place of",
    "model.metrics": "Classes of torchmetrics beside",
    "model.steps_per_execution": "Optimizer steps that run in one batch of Lightning's",
    "model.cuda_graph": "Run the steps of an execution as one CUDA graph",
    "data.dataset": "folder takes pictures",
    "data.data_dir": "The folder with the data",
    "data.image_size": "Height and width",
    "data.test_size": "How many pictures test",
    "data.batch_size": "Samples in a training batch",
    "data.val_size": "How many of the training images",
    "data.split": "``tail`` validates on the last",
    "data.fold": "Which of the parts validates",
    "data.folds": "Cut the training images into so many parts",
    "data.memory_map": "Leave the images on the disk",
    "data.on_device": "Keep the images in the memory of the device",
    "data.distortion.rotation": "In degrees",
    "data.distortion.scale": "Of width and height",
    "data.distortion.shear": "Of the columns against the rows",
    "data.distortion.shift": "In pixels",
    "data.distortion.elastic": "How far a point of the grid",
    "data.distortion.upstroke": "The share of the images with label 1",
    "data.distortion.flip": "The share of the images that are mirrored",
    "data.normalization": "``unit`` divides pixels by 255",
    "data.deskew": "Set digits, white on black, upright",
    "inspection.enabled": "Write pictures, PR curves",
    "inspection.every_n_epochs": "Write them also every so many epochs",
    "inspection.samples": "Images in the projector",
    "distillation.teacher": "Its checkpoint file, or the folder of its run",
    "distillation.temperature": "By how much its logits",
    "distillation.weight": "The teacher's share in the loss",
    "seed_everything": "Decides the initial weights",
    "ckpt_path": "A checkpoint file, a run folder",
    "model.compile": "Train with torch.compile",
    "optimizer": "A class of torch.optim",
    "lr_scheduler": "A class of torch.optim.lr_scheduler",
    "lr_scheduler_interval": "after every epoch or after every optimizer step",
    "ema_decay": "Validate and keep",
}


@pytest.mark.parametrize("subcommand", ["fit", "validate", "test"])
def test_help_explains_every_own_option(subcommand: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([subcommand, "--help"])
    out = " ".join(capsys.readouterr().out.split())
    described = out[out.index("options:") :]

    assert stop.value.code == 0
    own = set(re.findall(r"--((?:model|data|inspection|distillation)\.[\w.]+)[ ,]", described))
    # a group, which a file can set; and what has no group
    own = own - {"data.distortion"} | EXPLANATIONS.keys() - {flag for flag in EXPLANATIONS if "." in flag}
    assert {flag for flag in own if not flag.endswith(".help")} == EXPLANATIONS.keys()
    for flag, words in EXPLANATIONS.items():
        assert re.search(rf"--{flag}[ ,][^()]*{words}", described), flag
    assert "--weights_only" not in described


def test_print_config_prints_the_whole_request(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--config", "configs/mlp.yaml", "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)

    assert config["model"]["hidden_units"] == [256]
    assert config["trainer"]["max_epochs"] == 10


@pytest.mark.parametrize("subcommand", ["fit", "validate", "test"])
def test_print_config_prints_what_a_checkpoint_brings(
    subcommand: str, cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli("fit", "--trainer.max_epochs", "1", "--model.hidden_units", "[7]", "--data.normalization", "standard")
    with pytest.raises(SystemExit) as stop:
        cli(subcommand, "--ckpt_path", "last", "--print_config", "--data.batch_size", "16")
    config = yaml.safe_load(capsys.readouterr().out)

    assert stop.value.code == 0
    assert config["model"]["hidden_units"] == [7]
    assert (config["data"]["normalization"], config["data"]["batch_size"]) == ("standard", 16)
    assert config["trainer"]["max_epochs"] == (1 if subcommand == "fit" else 10)
    assert [path.name for path in run_folder(tmp_path).glob("*.json")] == ["result.json"]


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
