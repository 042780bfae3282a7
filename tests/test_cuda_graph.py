"""The steps of an execution as one CUDA graph: the same weights, or one line that says why there is none."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from src.cli.main import main
from src.model import graph
from src.model.execution import Execution
from tests.conftest import Cli
from tests.training import EPOCHS, checkpoint, run_folder, same_training

K = "--model.steps_per_execution"
EXACT_LR = ("--model.lr", "0.0009765625")  # a graph holds it in float32


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
        "No CUDA graph: operation not permitted when stream is capturing. Training continues without it, more slowly."
    ]
    assert same_training(checkpoint(run_folder(tmp_path)), checkpoint(run_folder(tmp_path, 1)))


def test_without_a_gpu_a_graph_is_given_up_with_the_reason(
    cli: Cli, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert cli("fit", *EPOCHS, K, "4", "--model.cuda_graph", "true", "--data.on_device", "true").code == 0
    assert [record.message for record in caplog.records if record.name.startswith("src")] == [
        "No CUDA graph: the network is on the cpu, not on a GPU. Training continues without it, more slowly."
    ]


def test_an_optimizer_that_no_graph_can_hold_is_named() -> None:
    parameters = [torch.zeros(2, requires_grad=True)]
    stand_in: Any = SimpleNamespace(
        module=SimpleNamespace(device=torch.device("cuda"), trainer=SimpleNamespace(lr_scheduler_configs=[])),
        direct=True,
        averaging=[],
        optimizer=SimpleNamespace(optimizer=torch.optim.SGD(parameters)),
    )
    assert Execution.obstacle(stand_in) == "SGD cannot be captured"
    stand_in.optimizer.optimizer = torch.optim.NAdam(parameters)
    assert Execution.obstacle(stand_in) is None
    stand_in.averaging = [WeightAveraging()]
    assert Execution.obstacle(stand_in) == "the weights are averaged after every step"
    stand_in.direct = False
    assert Execution.obstacle(stand_in) == "it takes a single device and a precision without loss scaling"


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
