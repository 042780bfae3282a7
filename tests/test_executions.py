"""Several optimizer steps in one batch of Lightning's change nothing but the time it takes."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from src.cli.main import main
from src.model import execution, graph
from src.model.classifier import Classifier
from src.model.execution import Execution
from tests.conftest import Cli
from tests.test_cli import EPOCHS, METRICS, checkpoint, results, run_folder, same_training

SAVE = "tests.test_cli.SaveAt"
EXACT_LR = ("--model.lr", "0.0009765625")  # a graph holds it in float32
K = "--model.steps_per_execution"  # an epoch has six batches, the last one short


def same_results(one: Path, other: Path) -> bool:
    """Compare the metrics of all epochs; their sums may differ in the last bit."""
    pairs = zip(results(one), results(other), strict=True)
    return all(a[name] == pytest.approx(b[name], rel=1e-6) for a, b in pairs for name in METRICS)


@pytest.mark.parametrize(
    "flags",
    [
        "",
        "--model.dropout 0.5",
        "--data.distortion.rotation 15 --data.distortion.elastic 1.5",
        "--model.weight_decay 0.01 --model.warmup_steps 5 --model.cosine true",
        "--trainer.precision bf16-mixed",
        "--trainer.precision 64-true",
    ],
)
def test_the_weights_are_those_of_single_steps_to_the_last_bit(cli: Cli, tmp_path: Path, flags: str) -> None:
    for steps in ("1", "4", "24"):
        answer = cli("fit", *EPOCHS, K, steps, *flags.split())
        assert (answer.code, answer.err) == (0, "")
    single, *several = (run_folder(tmp_path, number) for number in range(3))

    for run in several:
        assert same_training(checkpoint(single), checkpoint(run))
        assert checkpoint(run)["global_step"] == checkpoint(single)["global_step"] == 18
        assert same_results(single, run)


def test_max_steps_ends_within_an_execution(cli: Cli, tmp_path: Path) -> None:
    for steps in ("1", "4"):
        cli("fit", K, steps, "--trainer.max_steps", "9")
    single, several = (checkpoint(run_folder(tmp_path, number)) for number in range(2))

    assert single["global_step"] == several["global_step"] == 9
    assert same_training(single, several)
    answer = cli("fit", "--ckpt_path", "last", "--trainer.max_steps", "18")
    assert answer.code == 2
    assert "was saved where --trainer.max_steps ended an execution of 4 steps" in answer.err


def test_lightnings_own_backward_and_step_give_the_same(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("fit", *EPOCHS, K, "4")
    monkeypatch.setattr(execution, "PRECISIONS_WITHOUT_SCALER", ())
    cli("fit", *EPOCHS, K, "4")

    assert same_training(checkpoint(run_folder(tmp_path)), checkpoint(run_folder(tmp_path, 1)))
    assert checkpoint(run_folder(tmp_path, 1))["global_step"] == 18


@pytest.mark.parametrize("dropout", ["0", "0.5"])
@pytest.mark.parametrize("step", ["4", "10"])
def test_a_checkpoint_between_executions_resumes_at_the_next_step(
    cli: Cli, tmp_path: Path, step: str, dropout: str
) -> None:
    save = [f"--trainer.callbacks+={SAVE}", "--trainer.callbacks.step", step]
    cli("fit", *EPOCHS, K, "4", "--model.dropout", dropout, *save)
    answer = cli("fit", "--ckpt_path", str(tmp_path / "middle.ckpt"))

    assert (answer.code, answer.err) == (0, "")
    assert same_training(checkpoint(run_folder(tmp_path)), checkpoint(run_folder(tmp_path, 1)))
    assert results(run_folder(tmp_path)) == results(run_folder(tmp_path, 1))
    assert checkpoint(run_folder(tmp_path, 1))["global_step"] == 18


def test_a_learning_rate_schedule_moves_with_every_optimizer_step(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Classifier.configure_optimizers

    def with_schedule(self: Classifier) -> Any:
        optimizer: Any = plain(self)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=15)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    monkeypatch.setattr(Classifier, "configure_optimizers", with_schedule)
    for steps in ("1", "4"):
        cli("fit", *EPOCHS, K, steps)
    single, several = (checkpoint(run_folder(tmp_path, number)) for number in range(2))

    assert single["lr_schedulers"][0]["last_epoch"] == several["lr_schedulers"][0]["last_epoch"] == 18
    assert same_training(single, several)


class Recorder:
    """Stands in for CUDA's capture: nothing runs while it records, and a replay works on the recorded tensors."""

    def __init__(self) -> None:
        self.captures = 0
        self.replays = 0

    def __call__(self, function: graph.Function, images: Tensor, labels: Tensor) -> tuple[Callable[[], None], Any]:
        self.captures += 1
        results = torch.zeros(-(-len(labels) // 32)), torch.zeros(len(labels), 10)

        def replay() -> None:
            self.replays += 1
            for held, new in zip(results, function(images, labels), strict=True):
                held.copy_(new)

        return replay, results


@pytest.fixture
def on_any_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Execution, "obstacle", lambda self: None)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)


@pytest.mark.usefixtures("on_any_device")
def test_replayed_steps_are_the_steps(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr(graph, "capture", recorder)
    cli("fit", *EPOCHS, *EXACT_LR, K, "4")
    answer = cli("fit", *EPOCHS, *EXACT_LR, K, "4", "--model.cuda_graph", "true")
    resumed = cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "4")
    plain, captured = (checkpoint(run_folder(tmp_path, number)) for number in range(2))

    assert (answer.code, answer.err, resumed.code, resumed.err) == (0, "", 0, "")
    # four steps and two steps, each once as they are and then from the graph; the same again after the resume
    assert (recorder.captures, recorder.replays) == (2, 4)
    assert checkpoint(run_folder(tmp_path, 1), "last.prev")["global_step"] == plain["global_step"] == 18
    assert same_training(plain, checkpoint(run_folder(tmp_path, 1), "last.prev"))
    assert captured["optimizer_states"][0]["param_groups"][0]["lr"] == 2**-10
    assert captured["optimizer_states"][0]["param_groups"][0]["capturable"] is False


@pytest.mark.usefixtures("on_any_device")
def test_a_capture_that_fails_costs_one_line(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any) -> Any:
        raise graph.CaptureError("operation not permitted when stream is capturing")

    monkeypatch.setattr(graph, "capture", fails)
    cli("fit", *EPOCHS, *EXACT_LR, K, "4")
    cli("fit", *EPOCHS, *EXACT_LR, K, "4", "--model.cuda_graph", "true")

    assert [record.message for record in caplog.records if record.name.startswith("src")] == [
        "No CUDA graph: operation not permitted when stream is capturing. Training goes on without, more slowly."
    ]
    assert same_training(checkpoint(run_folder(tmp_path)), checkpoint(run_folder(tmp_path, 1)))


def test_without_a_gpu_a_graph_is_given_up_with_the_reason(
    cli: Cli, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert cli("fit", *EPOCHS, K, "4", "--model.cuda_graph", "true", "--data.on_device", "true").code == 0
    assert [record.message for record in caplog.records if record.name.startswith("src")] == [
        "No CUDA graph: the network is on the cpu, not on a GPU. Training goes on without, more slowly."
    ]


def test_an_optimizer_that_no_graph_can_hold_is_named() -> None:
    parameters = [torch.zeros(2, requires_grad=True)]
    asked: Any = SimpleNamespace(
        module=SimpleNamespace(device=torch.device("cuda"), trainer=SimpleNamespace(lr_scheduler_configs=[])),
        direct=True,
        averaging=[],
        optimizer=SimpleNamespace(optimizer=torch.optim.SGD(parameters)),
    )
    assert Execution.obstacle(asked) == "SGD cannot be captured"
    asked.optimizer.optimizer = torch.optim.NAdam(parameters)
    assert Execution.obstacle(asked) is None
    asked.averaging = [WeightAveraging()]
    assert Execution.obstacle(asked) == "the weights are averaged after every step"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: configs/gpu.yaml is not tried here")
@pytest.mark.usefixtures("mnist")
def test_the_gpu_overlay_trains_and_resumes_like_single_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = ["--config", "configs/mlp.yaml", "--config", "configs/gpu.yaml", "--trainer.max_epochs", "3"]
    place = ["--trainer.default_root_dir", str(tmp_path)]
    assert main(["fit", *place, *recipe]) == 0
    captured = checkpoint(run_folder(tmp_path))
    assert main(["fit", *place, "--ckpt_path", str(run_folder(tmp_path) / "checkpoints" / "last.prev.ckpt")]) == 0
    assert main(["fit", *place, *recipe, "--model.cuda_graph", "false", K, "1"]) == 0

    assert "No CUDA graph" not in capsys.readouterr().err
    assert same_training(captured, checkpoint(run_folder(tmp_path)))
    assert same_training(captured, checkpoint(run_folder(tmp_path, 1)))
