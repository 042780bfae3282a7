"""A network that leaves the project answers as it did here, or does not leave."""

import copy
import errno
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from src.cli.main import main
from src.common.errors import RunError
from src.data.checks import TEST_IMAGES, TRAIN_IMAGES
from src.data.datasets import DATASETS
from src.data.idx import read_idx, write_idx
from src.export import ONNX_PACKAGES, digests, read_test_data
from src.export.comparison import proof
from src.runs.trained import Trained
from tests.conftest import REPOSITORY, TEST_SIZE, Answer, Cli, run_process
from tests.test_bad_requests import (
    RUN,
    Prepare,
    Request,
    check,
    files,
    foreign_checkpoint,
    refusing,
    truncated_checkpoint,
)

ONE_EPOCH = ("--trainer.max_epochs", "1", "--inspection.enabled", "false")


def run_file(path: Path, images: Tensor) -> tuple[Tensor, Tensor]:
    """Use an exported file as its README examples do."""
    if path.suffix == ".pt2":
        logits, probabilities = torch.export.load(path).module()(images)
        return logits, probabilities
    logits, probabilities = onnxruntime.InferenceSession(path).run(None, {"images": images.numpy()})
    return torch.from_numpy(logits), torch.from_numpy(probabilities)


def metadata_of(path: Path) -> dict[str, Any]:
    if path.suffix == ".pt2":
        extra = {"metadata.json": ""}
        torch.export.load(path, extra_files=extra)
        return dict(json.loads(extra["metadata.json"]))
    texts = ("description", "model", "network", "dataset", "checkpoint")
    properties = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    return {name: value if name in texts else json.loads(value) for name, value in properties.items()}


def pixels(size: int) -> Tensor:
    return torch.randint(0, 256, (size, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(size))


@pytest.fixture(params=[".onnx", ".pt2"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"model{request.param}"


def export(path: Path, *words: str) -> int:
    return main(["export", "--output", str(path), *words])


def test_the_file_answers_as_the_checkpoint_for_any_number_of_images(
    output: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(output, "--ckpt_path", str(trained)) == 0

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
    assert export(output, "--ckpt_path", str(own_run)) == 0

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
    assert export(path, "--ckpt_path", str(trained)) == 0

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


def letters(folder: Path) -> list[str]:
    """The small digits as letters a to j, lying on their side as EMNIST's."""
    for ours, theirs in zip(DATASETS["MNIST"].files, DATASETS["EMNIST/letters"].files, strict=True):
        values = read_idx(folder / "digits" / ours)
        turned = values.transpose(1, 2).contiguous() if values.dim() == 3 else values + 1
        write_idx(folder / "letters" / theirs, turned)
    return ["--data.dataset", "EMNIST/letters", "--data.data_dir", str(folder / "letters")]


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

    assert export(output, "--ckpt_path", str(run)) == 0

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
        assert export(output, "--ckpt_path", str(run)) == 0
        assert "Checked: all 10,000 test images of MNIST" in capsys.readouterr().out
        torch.testing.assert_close(run_file(output, images)[0], network(images)[0], rtol=0, atol=1e-4)
        assert 0.92 < metadata_of(output)["test/acc"] < 1


def changed_weight(network: Any) -> Any:
    network.network.linear2.bias[3] += 2e-4
    return network


def other_scale(network: Any) -> Any:
    network.std = 2.0
    return network


def not_a_number(network: Any) -> Any:
    network.network.linear2.bias[3] = float("nan")
    return network


def wrong_axis(network: Any) -> Any:
    class WrongAxis(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.right = network

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            logits = self.right(images)[0]
            return logits, logits.softmax(dim=0)

    return WrongAxis()


def swapped_answers(network: Any) -> Any:
    network.network.linear2.bias[:] = network.network.linear2.bias.flip(0) + 1
    network.network.linear2.weight[:] = network.network.linear2.weight.flip(0)
    return network


@pytest.mark.parametrize("spoil", [changed_weight, other_scale, not_a_number, wrong_axis, swapped_answers])
def test_a_wrong_export_leaves_no_file(
    spoil: Any, output: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = torch.export.export
    monkeypatch.setattr(
        torch.export, "export", lambda network, *args, **more: original(spoil(copy.deepcopy(network)), *args, **more)
    )
    before = files(output.parent)

    assert export(output, "--ckpt_path", str(trained)) == 1

    sentences = capsys.readouterr().err.splitlines()
    assert len(sentences) == 1
    assert sentences[0].startswith(f"error: {output} was not written: ")
    assert files(output.parent) == before


def test_another_answer_and_no_number_are_refused() -> None:
    logits = torch.tensor([[1.0, 1.00001]])
    path, about = Path("model.onnx"), {"samples": 1, "dataset": "MNIST", "checkpoint": "best.ckpt", "test/acc": 1.0}
    with pytest.raises(RunError, match=r"1 of 1 test images get another answer"):
        proof((logits, logits.softmax(1)), (logits.flip(1), logits.flip(1).softmax(1)), path, about)
    with pytest.raises(RunError, match=r"0 of 1 .* logits differ by up to nan"):
        proof((torch.tensor([[1.0, torch.nan]]), logits), (logits, logits), path, about)
    assert "all 1 test images" in proof((logits, logits), (logits, logits - 5e-5), path, about)


def test_a_full_disk_leaves_the_file_that_was_there(
    output: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output.write_text("an earlier one")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert export(output, "--ckpt_path", str(trained)) == 1
    assert f"error: {output} could not be written: No space left on device" in capsys.readouterr().err
    assert files(output.parent) == {output.name: b"an earlier one"}


def test_without_the_extra_torch_export_works_and_onnx_is_explained(
    output: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] in ONNX_PACKAGES:
            monkeypatch.delitem(sys.modules, name)
    for name in ONNX_PACKAGES:
        monkeypatch.setitem(sys.modules, name, None)  # cannot be imported

    code = export(output, "--ckpt_path", str(trained))

    if output.suffix == ".pt2":
        assert code == 0
        assert output.exists()
    else:
        says = ("model.onnx needs onnx, onnxscript, onnxruntime", 'pip install ".[export]"', ".pt2")
        check(Answer(code, *capsys.readouterr()), Request("", says))
        assert not output.exists()


def move_data(folder: Path) -> None:
    """Make the checkpoint one of a run on data that was in another place."""
    path = folder / RUN / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    content["config"]["data"]["data_dir"] = "gone/digits"
    torch.save(content, path)


def with_data(settings: Any) -> Prepare:
    def change(folder: Path) -> None:
        path = folder / RUN / "checkpoints" / "best.ckpt"
        content = torch.load(path, weights_only=True)
        content["config"]["data"] = settings
        torch.save(content, path)

    return change


def huge_weights(folder: Path) -> None:
    """Make all weights of the first layer finite numbers whose sums are not."""
    path = folder / RUN / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"]["net.linear1.weight"].fill_(3e38)
    torch.save(content, path)


def no_test_images(folder: Path) -> None:
    (folder / "digits" / TEST_IMAGES).unlink()


def no_run(folder: Path) -> None:
    shutil.rmtree(folder / "lightning_logs")


def onnx_folder(folder: Path) -> None:
    (folder / "model.onnx").mkdir()


BEST = "--ckpt_path best"
UNNAMED = ("best.ckpt does not say which data set",)
REQUESTS = {
    "no checkpoint yet": Request(f"{BEST} --output model.onnx", ("--ckpt_path best", "train one first: "), no_run),
    "a foreign checkpoint": Request("--ckpt_path my.ckpt --output m.pt2", ("of this project",), foreign_checkpoint),
    "a damaged checkpoint": Request("--ckpt_path my.ckpt --output m.pt2", ("not a readable",), truncated_checkpoint),
    "no output": Request(BEST, ("--output is missing",)),
    "an unknown extension": Request(f"{BEST} --output model.h5", ("--output model.h5", ".onnx", ".pt2")),
    "no extension": Request(f"{BEST} --output model", ("--output model:", ".onnx", ".pt2")),
    "a missing folder": Request(f"{BEST} --output a/b/model.onnx", ("--output a/b/model.onnx", "no folder a/b;")),
    "a file as the folder": Request(f"{BEST} --output digits/{TEST_IMAGES}/m.pt2", ("no folder digits/",)),
    "a folder": Request(f"{BEST} --output digits", ("--output digits is there", "digits/digits.onnx")),
    "a folder with the extension": Request(f"{BEST} --output model.onnx", ("model.onnx is a folder",), onnx_folder),
    "a long name": Request(f"{BEST} --output {'m' * 300}.pt2", ("m.pt2: File name too long", "shorter")),
    "a name that is too long as a temporary one": Request(f"{BEST} --output {'m' * 250}.pt2", ("mm.pt2", "shorter")),
    "data that has moved": Request(f"{BEST} --output m.pt2", ("gone/digits is not there", "--data_dir"), move_data),
    "an unknown data set": Request(
        f"{BEST} --output m.pt2", UNNAMED, with_data({"dataset": "MINST", "data_dir": None})
    ),
    "a list of data sets": Request(f"{BEST} --output m.pt2", UNNAMED, with_data({"dataset": [], "data_dir": None})),
    "a number for a folder": Request(f"{BEST} --output m.pt2", UNNAMED, with_data({"dataset": "MNIST", "data_dir": 5})),
    "no settings of the data": Request(
        f"{BEST} --output m.pt2", ("config.data.dataset is missing",), with_data("MNIST")
    ),
    "missing test images": Request(
        f"{BEST} --output m.pt2 --data_dir digits", (TEST_IMAGES, " --data_dir needs"), no_test_images
    ),
    "another folder without data": Request(
        f"{BEST} --output m.pt2 --data_dir lightning_logs", ("--data_dir lightning_logs has no files of MNIST",)
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request_gets_one_sentence_and_writes_nothing(
    name: str,
    tmp_path: Path,
    own_run: Path,
    own_digits: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    request_ = REQUESTS[name]
    request_.prepare(tmp_path)
    before = files(tmp_path)
    monkeypatch.chdir(tmp_path)

    check(Answer(main(["export", *request_.words.split()]), *capsys.readouterr()), request_)
    assert files(tmp_path) == before


@pytest.mark.parametrize("output", [".onnx", ".pt2", ".html"], indirect=True)
def test_a_place_that_may_not_be_written_is_named(
    output: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refusing(monkeypatch, "replace", output.parent)

    check(
        Answer(export(output, "--ckpt_path", str(trained)), *capsys.readouterr()),
        Request("", (f"{output}: Permission denied", "name another place")),
    )


@pytest.mark.usefixtures("own_run")
def test_logits_that_are_not_finite_are_a_failure(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    huge_weights(tmp_path)
    before = files(tmp_path)

    assert export(output, "--ckpt_path", str(tmp_path / RUN)) == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "best.ckpt answers with logits that are not finite" in sentence
    assert files(tmp_path) == before


def test_data_that_has_moved_is_found_by_its_flag(
    output: Path, tmp_path: Path, own_run: Path, own_digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_data(tmp_path)
    monkeypatch.chdir(tmp_path)

    assert export(output, "--ckpt_path", "best", "--data_dir", "digits") == 0
    assert metadata_of(output)["samples"] == TEST_SIZE


def test_the_terminal_stays_quiet(output: Path, trained: Path) -> None:
    answer = run_process("export", "--ckpt_path", str(trained), "--output", str(output))

    assert (answer.code, answer.err) == (0, "")
    assert len(answer.out.splitlines()) == 2
