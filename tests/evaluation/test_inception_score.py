import math

import pytest
import torch
from torch_fidelity.metric_isc import isc_features_to_metric

from ictsweep.errors import UserError
from ictsweep.evaluation import inception_score


def logits(n, classes, seed):
    return 3 * torch.randn(n, classes, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "splits"), [(200, 10), (207, 10), (100, 1), (23, 3)])
def test_against_torch_fidelity(n, splits):
    x = logits(n, 12, 0).double()
    peer = isc_features_to_metric(x, splits=splits, shuffle=False)["inception_score_mean"]
    assert inception_score(x.softmax(1), splits).value == pytest.approx(peer, rel=1e-12)


def test_certain_and_varied_scores_the_number_of_classes():
    sure = torch.eye(5).repeat(20, 1)
    assert inception_score(sure, 2).value == pytest.approx(5, rel=1e-12)
    assert inception_score(sure[:1].expand(40, 5)).value == pytest.approx(1, rel=1e-12)
    assert inception_score(torch.full((40, 5), 0.2)).value == pytest.approx(1, rel=1e-6)


def test_two_samples_by_hand():
    p = torch.tensor([[0.9, 0.1], [0.2, 0.8]], dtype=torch.float64)
    q = (0.55, 0.45)
    kl = [sum(a * math.log(a / b) for a, b in zip(row, q, strict=True)) for row in p.tolist()]
    found = inception_score(p, 1)
    assert found.value == pytest.approx(math.exp(sum(kl) / 2), rel=1e-12)
    half = found.value * (kl[0] - kl[1]) / 2
    assert found.influence.tolist() == pytest.approx([half, -half], rel=1e-12)


@pytest.mark.parametrize("i", [0, 7, 31])
def test_the_influence_is_the_derivative_by_a_samples_weight(i):
    p = logits(50, 6, 1).double().softmax(1)
    weights, step = torch.full((50,), 1 / 50).double(), 1e-6

    def score(weights):
        q = weights @ p
        return float((weights @ (p * (p / q).log()).sum(1)).exp())

    moved = (1 - step) * weights
    moved[i] += step
    expected = (score(moved) - score(weights)) / step
    found = inception_score(p, 1)
    assert float(found.influence[i]) == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_the_error_is_the_spread_of_redraws():
    random = torch.Generator().manual_seed(3)
    population = logits(3000, 6, 2).double().softmax(1)
    drawn = [
        inception_score(population[torch.randint(3000, (500,), generator=random)])
        for _ in range(200)
    ]
    spread = torch.tensor([e.value for e in drawn]).std()
    claimed = torch.tensor([e.error for e in drawn]).mean()
    assert 0.85 < claimed / spread < 1.15


def test_too_few_samples():
    with pytest.raises(UserError, match="at least 20 samples, got 19"):
        inception_score(torch.full((19, 3), 1 / 3))
