"""The card on other people's digits: its corruptions, its thresholds, its sets, and all of it on a few pictures."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import generalization, others
from benchmarks.corruptions import CORRUPTIONS, corrupt
from benchmarks.trust import ATTACKED, EPS, attacked, keeping, kept, sure_from
from src.data.idx import write_idx
from src.inspection.findings import Predictions
from src.runs.trained import Trained


def bar() -> np.ndarray:
    images = np.zeros((8, 28, 28), np.uint8)
    images[:, 4:24, 12:16] = 255
    return images


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_changes_images_the_same_way_every_time(name: str) -> None:
    images = bar()
    changed = corrupt(name, images)

    assert (images == bar()).all()
    assert (changed.shape, changed.dtype) == (images.shape, np.uint8)
    assert (changed != images).any(axis=(1, 2)).all()
    assert (changed == corrupt(name, images)).all()


def test_corruptions_do_what_their_parameters_say() -> None:
    images = bar()
    assert np.unique(corrupt("brightness", images)).tolist() == [128, 255]
    assert (corrupt("stripe", images)[:, :, 7:21] == images[:, :, 7:21]).all()
    assert (corrupt("stripe", images)[:, :, [0, 6, 21, 27]] == 255).all()
    noisy = corrupt("impulse_noise", np.full((50, 28, 28), 100, np.uint8))
    assert (noisy != 100).mean() == pytest.approx(0.17, abs=0.01)
    corners = {tuple(np.argwhere(image > 0)[0] - [4, 12]) for image in corrupt("translate", images.repeat(4, axis=0))}
    assert corners == {(3, 3), (3, -3), (-3, 3), (-3, -3)}
    small = corrupt("scale", images)[0] > 127
    assert (small.sum(axis=0).max(), small.sum(axis=1).max()) == (14, 2)  # of 20 and 4, times 0.7
    outline = corrupt("canny_edges", images)[0]
    assert outline[14].nonzero()[0].tolist() == pytest.approx([11.5, 15.5], abs=0.5)  # both sides of the bar, one pixel


def predictions(confidence: list[float], right: list[bool]) -> Predictions:
    probabilities = torch.tensor([[value, 1 - value] for value in confidence], dtype=torch.float64)
    labels = torch.tensor([0 if is_right else 1 for is_right in right])
    return Predictions(probabilities, labels, torch.arange(len(right)))


def test_the_threshold_keeps_as_many_answers_as_may_be() -> None:
    validation = predictions([0.95, 0.9, 0.8, 0.7, 0.7, 0.6], [True, False, True, True, True, False])

    assert keeping(validation, 1.0) == 0.95
    assert keeping(validation, 0.8) == 0.7  # though up to 0.9 fewer are right
    assert kept(validation, 0.7) == (pytest.approx(5 / 6), pytest.approx(4 / 5))
    assert kept(validation, 0.99) == (0, 1)
    assert keeping(predictions([0.9, 0.9], [True, False]), 0.9) == float("inf")  # equal ones are kept together


def test_it_is_sure_of_99_in_100_right_answers() -> None:
    confidence = [0.6 + 0.001 * place for place in range(200)]
    validation = predictions([*confidence, 0.51], [True] * 200 + [False])

    assert sum(value >= sure_from(validation) for value in confidence) == 198


def test_the_lost_digits_are_the_last_ones_of_qmnist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = torch.zeros(others.LOST + 3, 28, 28, dtype=torch.uint8)
    images[others.LOST :, 4:24, 12:16] = 255
    labels = np.zeros((len(images), 8), ">i4")  # class, writer, ...
    labels[others.LOST :, 0] = 1, 7, 1
    for part, count in (("train", 1), ("test", len(images))):
        write_idx(tmp_path / f"qmnist-{part}-images-idx3-ubyte", images[:count])
        header = struct.pack(">4B2I", 0, 0, 12, 2, count, 8)
        (tmp_path / f"qmnist-{part}-labels-idx2-int").write_bytes(header + labels[:count].tobytes())
    lost = others.other_digits(str(tmp_path), 2)[others.QMNIST]

    assert lost.raw is not None
    assert torch.equal(lost.raw, images[-3:-1])
    assert lost.labels.tolist() == [1, 7]
    assert others.QMNIST not in others.other_digits(str(tmp_path / "none"), 2)
    assert "QMNIST: not measured: `data_dir`" in capsys.readouterr().out


def test_a_digit_made_like_ucis_has_their_size_levels_and_shape() -> None:
    made = others.like_uci(bar()[0])

    assert made.shape == (64, 64)
    assert (made == made[::8, ::8].repeat(8, axis=0).repeat(8, axis=1)).all()  # 8 x 8 squares
    assert {*made.flatten().tolist()} <= {round(count * 255 / 16) for count in range(17)}
    assert (made[:, 24:40] > 0).any(axis=1).all()
    assert not made[:, [*range(16), *range(48, 64)]].any()


def test_what_is_read_as_no_single_digit_is_marked() -> None:
    one = bar()[0]
    two = np.concatenate([one, one], axis=1)
    some = others.pictures([one, two, np.zeros((28, 28), np.uint8)])

    assert some.raw is None
    assert some.is_read.tolist() == [True, False, False]
    assert some.labels.tolist() == [-1, -1, -1]


@pytest.mark.parametrize("deskew", [False, True])
def test_an_attack_stays_within_its_reach_and_misleads(trained: Path, deskew: bool) -> None:
    network = Trained.load(str(trained))
    network.network.deskew = deskew
    images, seen = torch.randint(256, (20 * ATTACKED, 28, 28), dtype=torch.uint8), []
    labels = network.answer(images)[0].argmax(dim=1)
    network.network.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()[:, 0].clone()))
    upright = network.network(images[::ATTACKED]) and seen.pop()

    assert attacked(network, images, labels) < 1
    assert max(float((pixels - upright).abs().max()) for pixels in seen) == pytest.approx(EPS, abs=1e-5)


@pytest.mark.usefixtures("mnist")
def test_the_card_on_a_few_pictures(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["x", "--checkpoints", f"a={trained},{trained}", f"b={trained}", "--small"])
    monkeypatch.setattr(generalization, "FEW", 20)
    before = generalization.RESULTS.read_text()
    generalization.main()
    out = capsys.readouterr().out

    assert "| | a | b |" in out
    assert "| seeds | 2 | 1 |" in out
    assert " ± 0.00" in out
    assert generalization.RESULTS.read_text() == before


@pytest.mark.usefixtures("mnist")
def test_choices_are_made_on_validation(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["x", "--checkpoints", f"a={trained}", "--split", "val", "--small"])
    monkeypatch.setattr(generalization, "FEW", 5)
    generalization.main()
    out = capsys.readouterr().out

    assert out.count("\n| ") == len(CORRUPTIONS) + 1
    assert "% right made like UCI optdigits" in out


@pytest.mark.parametrize(("words", "sentence"), [("best", "names no file"), ("a=/none.ckpt", "/none.ckpt")])
def test_a_wrong_checkpoint_is_one_sentence(
    words: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["x", "--checkpoints", words])
    with pytest.raises(SystemExit, match="2"):
        generalization.main()
    assert sentence in capsys.readouterr().err.splitlines()[-1]


def test_the_recorded_pictures_are_all_there() -> None:
    sets = json.loads(generalization.RESULTS.read_text())["sets"]

    assert {sets[name]["pictures"] for name in CORRUPTIONS} == {10_000}
    assert sets[others.ENLARGED]["pictures"] == 1_797
