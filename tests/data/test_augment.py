"""Augmentation: what is drawn and how often, what it does to a picture, and that nothing leaks.

Beside EDM's own pipeline: tests/peers/test_augmentation.py.
"""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from ictsweep.data.augment import Augmentation, augmented, draw_augmentation
from ictsweep.networks import AUGMENT_LABELS

SIDE = 32


def nothing(n: int, **changes: Tensor) -> Augmentation:
    zero, never = torch.zeros(n), torch.zeros(n, dtype=torch.bool)
    plain = Augmentation(
        mirrored=never, upended=never, scale=zero, angle=zero, stretch=zero, direction=zero,
        shift=torch.zeros(n, 2),
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


def drawn(n: int, probability: float, mirror: bool = False, seed: int = 0) -> Augmentation:
    return draw_augmentation(n, probability, mirror, torch.Generator().manual_seed(seed))


def pictures(n: int, channels: int = 3, side: int = SIDE) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(n, channels, side, side, generator=generator) * 2 - 1


def hills(center: tuple[float, float] = (0.0, 0.0), width=(4.0, 4.0), side: int = SIDE) -> Tensor:
    """A Gaussian hill on grey; `center` and standard deviations in pixels (x, y)."""
    line = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    x, y = ((line - c) / s for c, s in zip(center, width, strict=True))
    return torch.exp(-(x[None, :].square() + y[:, None].square()) / 2)[None, None]


def moments(image: Tensor) -> tuple[Tensor, Tensor]:
    """The center (x, y) and the covariance of a hill, in pixels."""
    side = image.shape[-1]
    line = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    weights = (image[0, 0] / image.sum()).flatten()
    places = torch.stack([line.repeat(side), line.repeat_interleave(side)])
    center = (places * weights).sum(1)
    apart = places - center[:, None]
    return center, (apart * weights) @ apart.T


def one(**changes: float) -> Augmentation:
    values = {name: torch.tensor([value]) for name, value in changes.items()}
    return nothing(1, **values)


def test_at_probability_zero_every_picture_is_untouched():
    images = pictures(64)
    what = drawn(64, 0.0)
    assert not what.labels.any()
    assert torch.equal(augmented(images, what), images)


def test_labels_are_zero_where_a_picture_is_untouched_and_only_there():
    """No augmented picture can hide among those that samplers ask for."""
    images = pictures(600)
    what = drawn(600, 0.15, mirror=True)
    touched = (augmented(images, what) != images).flatten(1).any(1)
    assert torch.equal(touched, what.labels.any(dim=1))
    assert 100 < int(touched.sum()) < 500
    assert what.labels.shape == (600, AUGMENT_LABELS)
    assert what.labels.dtype == torch.float32


@pytest.mark.parametrize("probability", [0.12, 0.7])
def test_each_happens_with_the_probability_on_its_own(probability):
    n = 40_000
    what = drawn(n, probability)
    shares = {
        "upended": probability / 2,
        "scale": probability,
        "angle": probability,
        "stretch": probability,
        "direction": probability / 2,
    }
    for name, share in shares.items():
        found = (getattr(what, name) != 0).double().mean().item()
        assert found == pytest.approx(share, abs=4 * math.sqrt(share / n))
    moved = (what.shift != 0).all(dim=1)
    assert torch.equal(moved, (what.shift != 0).any(dim=1))
    assert moved.double().mean().item() == pytest.approx(probability, abs=0.01)
    events = torch.stack([what.scale != 0, what.angle != 0, what.stretch != 0, moved]).double()
    apart = torch.corrcoef(events) - torch.eye(4)
    assert apart.abs().max() < 0.03  # six standard deviations


def test_the_sizes_of_what_is_drawn():
    what = drawn(40_000, 1.0)
    for values in (what.scale, what.stretch, what.shift[:, 0], what.shift[:, 1]):
        assert values.mean().item() == pytest.approx(0, abs=0.03)
        assert values.std().item() == pytest.approx(1, abs=0.03)
    for values in (what.angle, what.direction[what.direction != 0]):
        assert values.abs().max().item() == pytest.approx(math.pi, abs=0.01)
        assert values.square().mean().item() == pytest.approx(math.pi**2 / 3, rel=0.03)


def test_pictures_are_mirrored_only_where_the_data_wants_it_and_then_half_of_them():
    assert not drawn(1000, 1.0, mirror=False).mirrored.any()
    for probability in (0.0, 0.12, 1.0):
        what = drawn(10_000, probability, mirror=True)
        assert int(what.mirrored.sum()) == pytest.approx(5000, abs=250)
        assert torch.equal(what.labels[:, 0], what.mirrored.float())


def test_draws_belong_to_the_seed():
    assert torch.equal(drawn(50, 0.5, seed=3).labels, drawn(50, 0.5, seed=3).labels)
    assert not torch.equal(drawn(50, 0.5, seed=3).labels, drawn(50, 0.5, seed=4).labels)


def test_mirrorings_are_exact():
    images, first = pictures(2), torch.tensor([True, False])
    left = augmented(images, nothing(2, mirrored=first))
    top = augmented(images, nothing(2, upended=first))
    assert torch.equal(left[0], images[0].flip(-1))
    assert torch.equal(top[0], images[0].flip(-2))
    assert torch.equal(left[1], images[1])
    assert torch.equal(top[1], images[1])


@pytest.mark.parametrize(("x", "y"), [(1.0, 0.0), (0.0, -0.5), (-0.75, 1.25)])
def test_a_shift_moves_by_eighths_of_the_side(x, y):
    what = nothing(1, shift=torch.tensor([[x, y]]))
    center, _ = moments(augmented(hills(width=(2, 2)), what))
    assert center.tolist() == pytest.approx([SIDE / 8 * x, SIDE / 8 * y], abs=0.02)


def test_a_shift_by_whole_pixels_is_exact_and_reflects():
    images = pictures(1)
    moved = augmented(images, nothing(1, shift=torch.tensor([[0.75, -0.5]])))  # 3 right, 2 up
    columns = [3, 2, 1, *range(SIDE - 3)]
    rows = [*range(2, SIDE), SIDE - 2, SIDE - 3]
    torch.testing.assert_close(moved, images[..., rows, :][..., columns], rtol=0, atol=2e-5)


@pytest.mark.parametrize("scale", [-1.5, 1.0])
def test_a_scale_is_a_fifth_of_an_octave(scale):
    _, spread = moments(augmented(hills(width=(3, 3)), one(scale=scale)))
    factor = 2 ** (0.2 * scale)
    assert spread.diag().sqrt().tolist() == pytest.approx([3 * factor] * 2, rel=0.01)


def test_a_turn_is_counterclockwise():
    # The filter is not quite symmetric: a doubled picture lies a twentieth of a pixel to one side.
    center, _ = moments(augmented(hills((6, 0), (2, 2)), one(angle=math.pi / 2)))
    assert center.tolist() == pytest.approx([0, -6], abs=0.12)  # y points down


def test_stretching_along_the_rows_and_along_a_direction():
    factor = 2**0.2
    _, spread = moments(augmented(hills(width=(3, 3)), one(stretch=1.0)))
    assert spread.diag().sqrt().tolist() == pytest.approx([3 * factor, 3 / factor], rel=0.01)
    _, spread = moments(augmented(hills(width=(3, 3)), one(stretch=1.0, direction=math.pi / 4)))
    values, vectors = torch.linalg.eigh(spread)
    assert values.sqrt().tolist() == pytest.approx([3 / factor, 3 * factor], rel=0.01)
    up_right = torch.tensor([1.0, -1.0], dtype=torch.float64) / math.sqrt(2)
    assert abs(float(vectors[:, 1] @ up_right)) == pytest.approx(1, abs=1e-3)


def test_first_scale_and_turn_then_stretch_then_shift():
    what = one(scale=1.0, angle=math.pi / 2, stretch=1.0)
    what = dataclasses.replace(what, shift=torch.tensor([[0.5, 0.0]]))
    center, _ = moments(augmented(hills((6, 0), (1.5, 1.5)), what))
    expected = [SIDE / 8 * 0.5, -6 * 2**0.2 / 2**0.2]
    assert center.tolist() == pytest.approx(expected, abs=0.12)


@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 33)])
def test_what_was_moved_by_almost_nothing_is_almost_the_same(channels, side):
    """The wavelet's doubling and halving undo each other."""
    images = pictures(4, channels, side)
    what = nothing(4, angle=torch.full((4,), 1e-6))
    assert what.labels.any(dim=1).all()
    moved = augmented(images, what)
    assert not torch.equal(moved, images)
    torch.testing.assert_close(moved, images, rtol=0, atol=1e-4)


def test_a_grey_picture_stays_grey_under_moderate_transforms():
    """Reflection: no border comes in."""
    what = nothing(50, scale=torch.randn(50).clamp(-1, 1), angle=torch.rand(50) * 6)
    images = torch.full((50, 1, SIDE, SIDE), 0.7)
    torch.testing.assert_close(augmented(images, what), images, rtol=0, atol=1e-3)


def test_a_picture_does_not_depend_on_the_others():
    images, what = pictures(20), drawn(20, 0.6, mirror=True)
    whole = augmented(images, what)
    for i in (0, 7):
        parts = {f.name: getattr(what, f.name)[i : i + 1] for f in dataclasses.fields(what)}
        alone = augmented(images[i : i + 1], Augmentation(**parts))
        torch.testing.assert_close(alone[0], whole[i], rtol=0, atol=1e-5)
