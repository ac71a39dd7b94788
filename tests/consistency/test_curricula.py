"""The curricula against their published values and against integer arithmetic."""

import math
from itertools import pairwise

import pytest
import torch

from ictsweep.consistency import Doubling, SmoothGap, SquareRoot, StagedGap


@pytest.mark.parametrize("budget", [400_000, 100_000])
def test_the_published_doubling_has_eight_stages_of_an_eighth(budget):
    # K' = floor(K / (log2 floor(1280/10) + 1)) = K / 8: 50k of 400k, 12.5k of 100k.
    length = budget // 8
    assert length == {400_000: 50_000, 100_000: 12_500}[budget]
    steps = Doubling()
    for stage, levels in enumerate([11, 21, 41, 81, 161, 321, 641, 1281]):
        first, last = stage * length, (stage + 1) * length - 1
        assert steps.levels(first / budget) == steps.levels(last / budget) == levels
        assert steps.stage(first / budget) == steps.stage(last / budget) == stage
    assert (steps.levels(1.0), steps.stage(1.0)) == (1281, 7)


def test_every_iteration_agrees_with_integer_arithmetic():
    # 3 200 iterations with a period of 1/5 of them, s0 = 4 and an s1 that is no power-of-two
    # multiple.
    steps = Doubling(s0=4, s1=50, period=0.2)
    for k in range(3201):
        assert steps.intervals(k / 3200) == min(4 * 2 ** (k // 640), 50)
        assert steps.stage(k / 3200) == min(k // 640, 4)


@pytest.mark.parametrize("period", [0.06, 0.07, 0.1, 0.125, 0.15, 0.2, 0.3])
def test_a_boundary_belongs_to_the_new_stage_despite_rounding(period):
    # 0.3 / 0.1 is 2.9999999999999996 in binary; the third stage must start there all the same.
    steps = Doubling(s0=1, s1=2**20, period=period)
    for j in range(1, int(1 / period) + 1):
        assert steps.stage(j * period) == steps.stage(round(j * period, 10)) == j
        assert steps.stage(j * period - 1e-6) == j - 1


def test_a_tiny_period_costs_nothing():
    for period in (1e-300, 1e-320):
        assert Doubling(period=period).intervals(1e-3) == 1280
        assert StagedGap(period=period).lower(torch.ones(1), 1e-3).item() == 1.0
    assert Doubling(s0=7, s1=7).intervals(1.0) == 7


def test_the_published_square_root():
    # K = 800k, s0 = 2, s1 = 150: e.g. at 1 % sqrt(0.01 (151^2 - 4) + 4) - 1 = 14.23, so 15 + 1.
    steps = SquareRoot()
    assert [steps.levels(p) for p in (0.0, 0.01, 0.1, 0.5, 1.0)] == [2, 16, 48, 107, 151]
    assert SquareRoot(s1=200).levels(1.0) == 201
    assert SquareRoot(s0=1, s1=5).intervals(0.0) == 1


def test_the_square_root_never_shrinks_and_counts_its_doublings():
    steps = SquareRoot(s0=3, s1=40)
    counts = [steps.intervals(k / 1000) for k in range(1001)]
    assert all(a <= b for a, b in pairwise(counts))
    assert (counts[0], counts[-1]) == (2, 40)
    for k, count in enumerate(counts):
        assert steps.stage(k / 1000) == math.floor(math.log2(count / 2))


def ratio(steps, t, progress):
    """r / t at one level."""
    return steps.lower(torch.tensor([t], dtype=torch.float64), progress).item() / t


def test_the_first_stage_is_denoising_up_to_ln_7():
    # 1 - (1 + 8 / (1 + e^t)) / 2 is 0 at e^t = 7 and tends to 1/2 for large t.
    steps = StagedGap()
    assert ratio(steps, 0.5, 0.0) == ratio(steps, math.log(7) - 1e-9, 0.0) == 0.0
    assert 0 < ratio(steps, math.log(7) + 1e-9, 0.0) < 1e-8
    assert ratio(steps, 80.0, 0.0) == pytest.approx(0.5, rel=1e-12)
    # t = 3: sigmoid(-3) = 0.04742587, n = 1.37940698, r/t = 0.31029651
    assert ratio(steps, 3.0, 0.0) == pytest.approx(0.31029651, abs=1e-8)


def test_the_last_stage_is_nearly_continuous():
    # a = 8: 1 - 5/256 = 0.98046875 at 0 and 1 - 1/256 = 0.99609375 far out.
    for progress in (7 / 8, 0.99, 1.0):
        assert ratio(StagedGap(), 1e-9, progress) == pytest.approx(0.98046875, rel=1e-9)
        assert ratio(StagedGap(), 200.0, progress) == pytest.approx(0.99609375, rel=1e-12)


def test_stages_start_at_equal_shares_and_the_end_belongs_to_the_last():
    steps = StagedGap(q=4.0, period=0.25)
    assert [steps.stage(p) for p in (0, 0.2499, 0.25, 0.5, 0.75, 1.0)] == [0, 0, 1, 2, 3, 3]
    # 256 in a single stage: 1 - 1/256 far out, from the start to the end.
    single = StagedGap(q=256.0, period=1.0)
    assert ratio(single, 200.0, 0.0) == ratio(single, 200.0, 1.0) == pytest.approx(255 / 256)
    # 0.3 does not divide the budget: the fourth stage is a short one.
    assert [StagedGap(period=0.3).stage(p) for p in (0.89, 0.9, 1.0)] == [2, 3, 3]


def test_the_smooth_gap_meets_the_stages_where_they_start_and_has_none():
    t = torch.tensor([0.3, 3.0, 40.0], dtype=torch.float64)
    smooth, staged = SmoothGap(), StagedGap()
    for stage in range(8):
        torch.testing.assert_close(smooth.lower(t, stage / 8), staged.lower(t, stage / 8))
    # Half a stage on, q^a has grown by the square root of 2: 1 - 1 / (2 sqrt 2).
    assert ratio(smooth, 80.0, 1 / 16) == pytest.approx(1 - 2**-1.5, rel=1e-12)
    assert ratio(staged, 80.0, 1 / 16) == pytest.approx(0.5, rel=1e-12)
    assert ratio(smooth, 80.0, 1.0) == pytest.approx(ratio(staged, 80.0, 1.0), rel=1e-12)
    assert [smooth.stage(p) for p in (0, 0.1249, 0.125, 1.0)] == [0, 0, 1, 7]


def test_k_and_b_widen_the_gap_of_low_levels():
    # k = 0 has the same relative gap everywhere; b says how soon the widening ends.
    assert ratio(StagedGap(k=0.0), 0.01, 0.0) == pytest.approx(0.5)
    assert ratio(StagedGap(q=4.0, k=2.0, b=0.0), 33.0, 0.0) == pytest.approx(1 - 2 / 4)
