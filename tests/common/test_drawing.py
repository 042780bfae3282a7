from typing import Any

import numpy as np
import pytest
import torch

from src.common import charts, drawing
from src.data.datasets import DATASETS

WIDE = "a name far wider than any image"


def is_empty(pixels: drawing.Picture) -> bool:
    return bool((pixels == 255).all())


def test_a_sheet_shows_each_image_in_its_place_and_cuts_no_text() -> None:
    images = torch.zeros(7, 28, 28, dtype=torch.uint8)
    images[:, 5:9] = torch.arange(10, 80, 10, dtype=torch.uint8)[:, None, None]
    sheet = drawing.sheet(images, [[WIDE, "2nd"]] * 7, "Title", ["note"], columns=3, scale=2)
    dark = (sheet == 0).all(axis=2)
    columns = np.flatnonzero(dark[: sheet.shape[0] // 2].sum(axis=0) > 20)

    assert len(np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)) == 3
    assert sheet.max() == 255
    for edge in (sheet[:5], sheet[-5:], sheet[:, :5], sheet[:, -5:]):
        assert is_empty(edge)


def test_captions_do_not_run_into_each_other() -> None:
    sheet = drawing.sheet(torch.zeros(2, 28, 28), [[WIDE], [WIDE]], "", columns=2, scale=1)
    text = sheet[-(drawing.TEXT + drawing.MARGIN) :]
    used = np.flatnonzero((text != 255).any(axis=(0, 2)))
    middle = sheet.shape[1] // 2

    assert not ((used > middle - 3) & (used < middle + 3)).any()


def test_no_images_make_an_empty_sheet() -> None:
    assert not is_empty(drawing.sheet(torch.zeros(0, 28, 28), [], "No mistakes"))


def test_weights_are_white_at_zero_and_as_strong_on_both_sides() -> None:
    tiles = torch.zeros(4, 28, 28)
    tiles[0], tiles[1] = 0.5, -0.5
    picture = drawing.weights(tiles, "Weights", scale=1)
    top = picture.shape[0] - 2 * 29 - 2 - drawing.TEXT - 30
    colours = {tuple(picture[y + 14, x]) for y in (top, top + 29) for x in (drawing.MARGIN + 14, drawing.MARGIN + 43)}

    assert tuple(drawing.PURPLE_ORANGE[2]) in {tuple(map(int, colour)) for colour in colours}
    for end in (0, -1):
        assert (picture == drawing.PURPLE_ORANGE[end]).all(axis=2).sum() > 700


@pytest.mark.parametrize("dataset", ["MNIST", "FashionMNIST", "EMNIST/byclass"])
def test_a_confusion_matrix_has_room_for_all_classes_and_names(dataset: Any) -> None:
    classes = DATASETS[dataset].classes
    counts = torch.eye(len(classes), dtype=torch.int64) * 12_345
    counts[-1, 0] = 999
    picture = charts.confusion(counts, classes, "Confusion")
    darkest = (picture == drawing.BLUES[-1]).all(axis=2)

    widest = drawing.text_width(classes, drawing.TEXT)
    if widest > 54:  # names stand upright above the columns
        assert np.flatnonzero(darkest.any(axis=1))[0] > drawing.MARGIN + drawing.TITLE + drawing.TEXT + widest
    assert darkest.any(axis=0).sum() > 20 * (len(classes) - 1)
    for edge in (picture[:5], picture[-5:], picture[:, :5], picture[:, -5:]):
        assert is_empty(edge)
    assert max(picture.shape) < 1_800


def test_a_reliability_diagram_draws_bars_as_high_as_the_accuracy() -> None:
    counts = torch.tensor([0, 10, 0, 30])
    accuracy, confidence = torch.tensor([0.0, 0.25, 0.0, 1.0]), torch.tensor([0.0, 0.4, 0.0, 0.9])
    picture = charts.reliability(confidence, accuracy, counts, "Reliability", ["note"])
    blue = (picture == drawing.BLUE).all(axis=2)
    heights = blue.sum(axis=0)

    assert heights.max() == pytest.approx(400, abs=12)
    assert np.median(heights[(heights > 60) & (heights < 200)]) == pytest.approx(100, abs=5)
