"""Posterior means by hand, where their weights are extreme, and what is left out of them."""

import math
from itertools import pairwise

import pytest
import torch

from ictsweep.consistency import Batch, OneSample, PosteriorMean, References


def double(values):
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 1)


def batch(x0, noise, t, r, references, **others):
    levels = (torch.tensor(s, dtype=torch.float64) for s in (t, r))
    return Batch(double(x0), double(noise), *levels, references=references, **others)


def paths(path, b):
    x_t, x_r = path(b.x0, b)
    return x_t.flatten().tolist(), x_r.flatten().tolist()


def test_one_sample_by_hand():
    b = batch([1.0, -1.0], [0.5, 2.0], [4.0, 1.0], [2.0, 0.0], None)
    assert paths(OneSample(), b) == ([3.0, 1.0], [2.0, -1.0])


def test_two_images_equally_far_share_their_mean():
    # x_t = 0.2 - 0.1 * 2 = 0 lies halfway between 0.2 and -0.2: D = 0, so x_r = (r/t) x_t = 0;
    # the one-sample path would go to 0.2 - 0.1 * 1 = 0.1.
    b = batch([0.2], [-0.1], [2.0], [1.0], References(double([-0.2])))
    x_t, x_r = paths(PosteriorMean(), b)
    assert (x_t, x_r) == ([0.0], pytest.approx([0.0], abs=1e-16))


def test_weights_by_hand():
    # x_t = 1, t = 1: squared distances 1 (own, 0) and 0 (the reference, 1): logits -1/2 and 0, so
    # w = sigmoid(-1/2), sigmoid(1/2) and D = 0.62245933; x_r = 0.25 + 0.75 D.
    b = batch([0.0], [1.0], [1.0], [0.25], References(double([1.0])))
    _, x_r = paths(PosteriorMean(), b)
    assert x_r == pytest.approx([0.25 + 0.75 * 0.6224593312018546], rel=1e-14)


def test_far_away_every_reference_counts_the_same():
    b = batch([0.9], [0.3], [1e6], [0.0], References(double([0.1, 0.2, -0.4])))
    _, x_r = paths(PosteriorMean(), b)
    assert x_r == pytest.approx([(0.9 + 0.1 + 0.2 - 0.4) / 4], abs=1e-5)


@pytest.mark.parametrize("t", [1e-8, 1e-3])
def test_next_to_the_data_only_the_own_image_counts(t):
    # Logits of -1e4 and far below: exp underflows, nothing overflows, x_r = x0 + r z.
    b = batch([0.5], [1.0], [t], [t / 2], References(double([0.4, -0.9])))
    _, x_r = paths(PosteriorMean(), b)
    assert x_r == [0.5 + t / 2]


def test_a_reference_at_the_noisy_image_itself_takes_all_the_weight():
    # y = x_t: its logit is ||z||^2 / 2 = 1250 above the own one, whose exponential is infinite.
    b = batch([0.0], [50.0], [0.01], [0.005], References(double([0.5, -0.3])))
    _, x_r = paths(PosteriorMean(), b)
    assert x_r == pytest.approx([0.5], rel=1e-14)


def test_float32_images_have_float64_weights():
    # From t = 80 both images are at squared distances near 2e7, where float32 has steps of 2: their
    # weights would be off by 1e-4.
    generator = torch.Generator().manual_seed(0)
    x0, noise, other = (torch.randn(1, 3, 32, 32, generator=generator) for _ in range(3))
    t = torch.tensor([80.0])
    _, mean = PosteriorMean()(x0, Batch(x0, noise, t, 0 * t, references=References(other)))
    assert mean.dtype == torch.float32
    gap = x0.double() - other.double()
    excess = gap.square().sum() + 160 * (noise.double() * gap).sum()
    share = 1 / (1 + math.exp(excess / 12800))
    assert 0.05 < share < 0.95
    torch.testing.assert_close(mean.double(), x0.double() - share * gap, rtol=0, atol=5e-7)


def test_references_of_another_class_are_left_out():
    # Sample 0 is of class 3, as reference 1 is; sample 1 has no label and takes both.
    references = References(double([10.0, 0.4]), torch.tensor([2, 3]))
    b = batch([0.0, 0.0], [0.0, 0.0], [1e6] * 2, [0.0] * 2, references,
              labels=torch.tensor([3, -1]))  # fmt: skip
    _, x_r = paths(PosteriorMean(), b)
    assert x_r == pytest.approx([0.2, 10.4 / 3], rel=1e-6)


def test_a_class_without_references_has_its_own_image():
    references = References(double([10.0, 0.4]), torch.tensor([2, 3]))
    b = batch([0.7], [0.1], [5.0], [2.0], references, labels=torch.tensor([1]))
    assert paths(PosteriorMean(), b) == paths(OneSample(), b)


def test_generated_samples_keep_their_noise():
    references = References(double([0.9]))
    b = batch([0.1, 0.1], [0.2, 0.2], [3.0, 3.0], [1.0, 1.0], references,
              generated=torch.tensor([True, False]))  # fmt: skip
    endpoint = double([5.0, 0.1])
    x_t, x_r = PosteriorMean()(endpoint, b)
    assert (x_t[0].item(), x_r[0].item()) == pytest.approx((5.6, 5.2))
    assert x_r[1].item() > 0.5


def test_more_references_come_nearer_to_the_posterior_mean():
    # Data N(0, 1), t = 2: E[x0 | x_t] = x_t / 5. The squared error of D falls like 1/n.
    generator = torch.Generator().manual_seed(1)
    t, errors = torch.full((20,), 2.0), []
    for n in (0, 20, 200, 2000):
        total = 0.0
        for _ in range(100):
            x0, noise = (torch.randn(20, 1, 1, 1, generator=generator) for _ in range(2))
            others = References(torch.randn(n, 1, 1, 1, generator=generator))
            x_t, mean = PosteriorMean()(x0, Batch(x0, noise, t, 0 * t, references=others))
            total += (mean - x_t / 5).square().mean().item() / 100
        errors.append(total)
    assert errors[0] == pytest.approx(0.8, rel=0.1)  # var(x0 | x_t) = 4/5
    assert all(b < a / 5 for a, b in pairwise(errors))
