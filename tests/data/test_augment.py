import dataclasses

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.transforms.functional import InterpolationMode, affine

from src.common.errors import UsageError
from src.data import augment
from src.data.augment import Distortion, uniform

POSITIONS = torch.arange(1_000, 1_040)
LABELS = torch.arange(40, dtype=torch.uint8) % 10
FULL = Distortion(rotation=15, scale=0.15, shear=0.2, shift=2, elastic=1.5)
UPSTROKE = Distortion(shift=2, upstroke=0.5)
FLIP = Distortion(shift=2, flip=0.5)


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    images = torch.zeros(len(POSITIONS), 28, 28)
    images[:, 6:22, 6:22] = torch.rand(len(POSITIONS), 16, 16, generator=generator) * 255
    return images


def test_no_strength_changes_nothing(images: Tensor) -> None:
    assert torch.allclose(Distortion()(images, 1, 2, POSITIONS, LABELS), images, atol=1e-2)


def test_it_computes_where_the_images_are() -> None:
    with FakeTensorMode():  # shapes and devices, without a GPU
        images, positions = torch.zeros(3, 28, 28, device="cuda"), torch.arange(3, device="cuda")
        distorted = FULL(images, 1, 2, positions, positions)
    augment.basis.cache_clear()

    assert (distorted.device.type, distorted.shape) == ("cuda", images.shape)


@pytest.mark.parametrize("distortion", [FULL, UPSTROKE, FLIP], ids=["full", "upstroke", "flip"])
def test_a_picture_depends_on_seed_epoch_and_position_alone(distortion: Distortion, images: Tensor) -> None:
    one = slice(11, 12)  # its label is 1
    alone = distortion(images[one], 1, 2, POSITIONS[one], LABELS[one])
    shuffled = torch.randperm(len(images), generator=torch.Generator().manual_seed(3))
    among = distortion(images[shuffled], 1, 2, POSITIONS[shuffled], LABELS[shuffled])[shuffled == 11]

    assert torch.allclose(distortion(images, 1, 2, POSITIONS, LABELS)[one], alone, atol=1e-2)
    assert torch.allclose(among, alone, atol=1e-2)
    for seed, epoch, position in ((2, 2, POSITIONS[one]), (1, 3, POSITIONS[one]), (1, 2, POSITIONS[12:13])):
        assert not torch.allclose(distortion(images[one], seed, epoch, position, LABELS[one]), alone, atol=1)


def bars() -> Tensor:
    """An upright stroke, 3 pixels wide, as in many a 1."""
    images = torch.zeros(len(POSITIONS), 28, 28)
    images[:, 4:24, 13:16] = 200
    return images


def test_a_part_of_the_ones_gets_an_upstroke_and_nothing_else_does() -> None:
    distorted = Distortion(upstroke=0.5)(bars(), 0, 0, POSITIONS, LABELS)
    changed = ((distorted - bars()).abs() > 1).flatten(1).any(dim=1)

    assert not changed[LABELS != 1].any()
    ones = torch.ones(1_000, dtype=torch.uint8)
    many = Distortion(upstroke=0.2)(bars()[:1].expand(1_000, 28, 28), 0, 0, torch.arange(1_000), ones)
    with_upstroke = many[:, 5:12, 7:12].amax(dim=(1, 2)) > 100  # to the left of the stroke, near its top
    assert with_upstroke.float().mean().item() == pytest.approx(0.2, abs=0.05)
    assert (many[:, 14:, :12] < 1).all()


@pytest.mark.parametrize("shape", [(28, 28), (9, 16), (32, 32, 3)])
@pytest.mark.parametrize("share", [0.5, 0.2, 1.0])
def test_a_share_of_the_images_is_mirrored_left_to_right(share: float, shape: tuple[int, ...]) -> None:
    images = torch.rand(1_000, *shape, generator=torch.Generator().manual_seed(1)) * 255
    positions, labels = torch.arange(1_000), torch.zeros(1_000, dtype=torch.uint8)
    flipped = Distortion(flip=share)(images, 3, 4, positions, labels)
    apart = ((flipped - other).abs().flatten(1).amax(dim=1) < 0.1 for other in (images, images.flip(2)))
    stayed, mirrored = apart

    assert (stayed ^ mirrored).all()
    assert mirrored.float().mean().item() == pytest.approx(share, abs=0.05)
    others = (Distortion(flip=share)(images, *numbers, positions, labels) for numbers in ((3, 5), (4, 4)))
    assert all(torch.allclose(other, flipped, atol=0.1) == (share == 1) for other in others)


def test_what_else_is_distorted_does_not_depend_on_flips(images: Tensor) -> None:
    """An image is mirrored first and then moved as without flips."""
    without = FULL(images.flip(2), 1, 2, POSITIONS, LABELS)
    flipped = dataclasses.replace(FULL, flip=1.0)(images, 1, 2, POSITIONS, LABELS)

    assert torch.allclose(flipped, without, atol=0.1)


def test_random_numbers_are_uniform_and_unrelated() -> None:
    here, later, elsewhere = (uniform(7, epoch, torch.arange(start, start + 20_000), 6) for epoch, start in
                              ((0, 0), (1, 0), (0, 20_000)))  # fmt: skip

    for share in (0.25, 0.5, 0.75):
        assert here.quantile(share, dim=0).tolist() == pytest.approx([2 * share - 1] * 6, abs=0.03)
    together = torch.cat([here, later, elsewhere], dim=1)
    assert (torch.corrcoef(together.T) - torch.eye(18)).abs().max() < 0.035  # five standard deviations


# what the largest random number makes of each strength, in torchvision's terms
AFFINE: dict[str, tuple[Distortion, dict[str, float]]] = {
    "rotation": (Distortion(rotation=15), {"angle": -15.0}),
    "shift": (Distortion(shift=3), {"shift": -3.0}),
    "scale": (Distortion(scale=0.25), {"scale": 1 / 1.25}),
}


@pytest.fixture
def largest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every random number is the largest."""
    monkeypatch.setattr(augment, "uniform", lambda seed, epoch, positions, count: torch.ones(len(positions), count))


@pytest.mark.usefixtures("largest")
@pytest.mark.parametrize("name", AFFINE)
def test_affine_distortion_is_torchvisions(name: str, images: Tensor) -> None:
    distortion, same = AFFINE[name]
    expected = affine(
        images,
        angle=same.get("angle", 0.0),
        translate=[int(same.get("shift", 0))] * 2,
        scale=same.get("scale", 1.0),
        shear=[0.0, 0.0],
        interpolation=InterpolationMode.BILINEAR,
    )
    assert torch.allclose(distortion(images, 0, 0, POSITIONS, LABELS), expected, atol=1.0)


@pytest.mark.usefixtures("largest")
def test_shear_moves_each_row_by_its_height() -> None:
    ramp = torch.arange(28.0).expand(1, 28, 28)  # a pixel's value is its column
    moved = (Distortion(shear=0.2)(ramp, 0, 0, POSITIONS[:1], LABELS[:1]) - ramp)[0, :, 4:-4]

    assert torch.allclose(moved, (0.2 * (torch.arange(28.0) - 13.5))[:, None].expand_as(moved), atol=1e-3)


def test_elastic_distortion_moves_no_pixel_further_than_its_strength() -> None:
    ramp = torch.arange(28.0).expand(len(POSITIONS), 28, 28)
    moved = Distortion(elastic=1.5)(ramp, 0, 0, POSITIONS, LABELS) - ramp
    inside = moved[:, 4:-4, 4:-4]

    assert 1.0 < inside.abs().max() < 1.5 * 1.6  # between the grid's points bicubic interpolation overshoots
    steps = (inside[:, :, 1:] - inside[:, :, :-1]).abs()
    assert steps.max() < 1.5  # smooth: neighbours move alike


def test_what_was_there_stays_on_a_black_background(images: Tensor) -> None:
    distorted = FULL(images, 1, 2, POSITIONS, LABELS)

    assert distorted.min() >= 0
    assert distorted.max() <= 255 + 1e-3
    assert (distorted == 0).float().mean() > 0.3
    assert distorted.mean().item() == pytest.approx(images.mean().item(), rel=0.15)


@pytest.mark.parametrize(
    ("name", "value"),
    [("rotation", -1), ("scale", 1.0), ("shear", -0.1), ("shift", 29), ("upstroke", 2), ("flip", 1.5)],
)
def test_impossible_strengths_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=rf"`{name}` must be between 0 and"):
        Distortion(**{name: value})
