"""A network that leaves the project as an ONNX file or a program of torch.export answers as it did here."""

import json
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor

from src.cli.main import main
from src.data.checks import TEST_IMAGES, TRAIN_IMAGES
from src.data.idx import read_idx
from src.export import digests, read_test_data
from src.runs.trained import Trained
from tests.conftest import REPOSITORY, TEST_SIZE, Cli, run_process
from tests.export.conftest import ONE_EPOCH, export, metadata_of, run_file
from tests.letters import letters


def pixels(size: int) -> Tensor:
    return torch.randint(0, 256, (size, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(size))


def test_the_file_answers_as_the_checkpoint_for_any_number_of_images(
    output: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(trained, output) == 0

    out, err = capsys.readouterr()
    size = output.stat().st_size
    assert out.splitlines()[0] == f"{output}: {size:,} bytes, images (N, 28, 28) -> logits, probabilities (N, 10)"
    assert f"all 70 test images of MNIST get the answers of {trained}/checkpoints/best.ckpt" in out
    assert err == ""
    network = Trained.load(str(trained)).network
    for number in (0, 1, 2, 7, 10_000):
        images = pixels(number)
        for found, expected in zip(run_file(output, images), network(images), strict=True):
            assert (found.shape, found.dtype) == ((number, 10), torch.float32)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_the_file_says_what_it_is(output: Path, own_run: Path) -> None:
    assert main(["test", "--ckpt_path", str(own_run)]) == 0
    assert export(own_run, output) == 0

    metadata = metadata_of(output)
    test = json.loads((own_run / "test.json").read_text())
    run = json.loads((own_run / "result.json").read_text())
    assert metadata["test/acc"] == pytest.approx(test["test/acc"])
    for name in ("samples", "correct", "checkpoint"):
        assert metadata[name] == test[name]
    assert metadata["classes"] == list("0123456789")
    assert metadata["normalization"] == {"mean": 0, "std": 1}
    assert (metadata["dataset"], metadata["hidden_units"]) == ("MNIST", [256])
    assert metadata["data_sha256"] == {Path(path).name: digest for path, digest in run["data"]["sha256"].items()}
    assert metadata["versions"]["torch"] == run["versions"]["torch"]
    assert str(REPOSITORY).encode() not in output.read_bytes()


def test_the_digests_are_those_of_the_training(own_run: Path) -> None:
    trained = Trained.load(str(own_run))
    _, data = read_test_data(trained, None)
    result = own_run / "result.json"
    recorded = json.loads(result.read_text())["data"]["sha256"]
    result.write_text(json.dumps({"data": {"sha256": {f"digits/{TRAIN_IMAGES}": "as it was then"}}}))
    assert digests(trained, data) == {TRAIN_IMAGES: "as it was then"}

    for damage in ("{", "[]", "{}"):  # those of the files, then
        result.write_text(damage)
        assert digests(trained, data) == {Path(path).name: digest for path, digest in recorded.items()}
    result.unlink()
    assert len(digests(trained, data)) == 4


def test_onnx_follows_the_standard(tmp_path: Path, trained: Path) -> None:
    path = tmp_path / "MODEL.ONNX"
    assert export(trained, path) == 0

    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert model.producer_name == "pytorch"
    assert "uint8 (N, 28, 28)" in model.doc_string
    shapes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"images": ["N", 28, 28], "logits": ["N", 10], "probabilities": ["N", 10]}
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


@pytest.mark.parametrize(
    "recipe",
    [
        "--model.hidden_units [16,8] --model.dropout 0.5 --data.normalization standard",
        "--data.normalization [0.2,0.3] --trainer.precision 64-true",
        "--trainer.precision bf16-true",
        "--model.network cnn --model.hidden_units [8]",
        "letters",
    ],
)
def test_any_network_of_this_project_can_leave(
    recipe: str, output: Path, cli: Cli, tmp_path: Path, own_digits: Path
) -> None:
    words = letters(tmp_path) if recipe == "letters" else recipe.split()
    assert cli("fit", *ONE_EPOCH, *words).code == 0
    run = tmp_path / "lightning_logs" / "version_0"
    assert cli("test", "--ckpt_path", str(run), "--inspection.enabled", "false").code == 0

    assert export(run, output) == 0

    trained, metadata = Trained.load(str(run)), metadata_of(output)
    upright = read_idx(own_digits / TEST_IMAGES)
    logits, probabilities = run_file(output, upright)
    torch.testing.assert_close(logits, trained.network(upright)[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(TEST_SIZE))
    assert (metadata["classes"], logits.shape) == (list(trained.classes), (TEST_SIZE, len(trained.classes)))
    test = json.loads((run / "test.json").read_text())
    # which evaluates in the precision of the training
    assert metadata["correct"] == pytest.approx(test["correct"], abs=3 if "bf16" in recipe else 0)


@pytest.mark.usefixtures("mnist")
def test_the_real_ten_thousand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "lightning_logs" / "version_0"
    words = ["--trainer.default_root_dir", str(tmp_path), "--trainer.accelerator", "cpu", *ONE_EPOCH]
    assert main(["fit", "--config", str(REPOSITORY / "configs" / "mlp.yaml"), *words]) == 0
    network = Trained.load(str(run)).network
    images = read_idx(REPOSITORY / "data" / "MNIST" / "raw" / TEST_IMAGES)
    for output in (tmp_path / "model.onnx", tmp_path / "model.pt2"):
        assert export(run, output) == 0
        assert "Checked: all 10,000 test images of MNIST" in capsys.readouterr().out
        torch.testing.assert_close(run_file(output, images)[0], network(images)[0], rtol=0, atol=1e-4)
        assert 0.92 < metadata_of(output)["test/acc"] < 1


def test_the_terminal_stays_quiet(output: Path, trained: Path) -> None:
    answer = run_process("export", "--ckpt_path", str(trained), "--output", str(output))

    assert (answer.code, answer.err) == (0, "")
    assert len(answer.out.splitlines()) == 2
