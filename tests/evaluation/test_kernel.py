import math

import numpy as np
import pytest
import torch
from cleanfid.fid import kernel_distance as cleanfid_distance
from torch_fidelity.metric_kid import kid_features_to_metric

from ictsweep.errors import UserError
from ictsweep.evaluation import kernel_distance, kernel_reference
from ictsweep.evaluation.kernel import kernel_distance_of_subsets


def features(n, d, seed, shift=0.0):
    """Positive, as Inception's are."""
    return (torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift).abs()


def brute(x, y):
    """The unbiased estimator of Bińkowski et al. 2018, pair by pair in float64."""
    x, y, d = x.double().numpy(), y.double().numpy(), x.shape[1]
    n, m = len(x), len(y)
    within = sum((x[i] @ x[j] / d + 1) ** 3 for i in range(n) for j in range(n) if i != j)
    data = sum((y[i] @ y[j] / d + 1) ** 3 for i in range(m) for j in range(m) if i != j)
    across = sum((x[i] @ y[j] / d + 1) ** 3 for i in range(n) for j in range(m))
    return within / (n * (n - 1)) + data / (m * (m - 1)) - 2 * across / (n * m)


@pytest.mark.parametrize("tile", [16, 25, 4096])
def test_against_every_pair_by_hand(monkeypatch, tile):
    monkeypatch.setattr("ictsweep.evaluation.kernel._TILE", tile)
    x, y = features(50, 12, 0, 0.1), features(70, 12, 1)
    found = kernel_distance(x, kernel_reference(y)).value
    assert found == pytest.approx(brute(x, y), rel=1e-5)


def test_a_point_against_a_point():
    """k(x, x) + k(y, y) - 2 k(x, y) of two places, each taken three times."""
    x, y = (torch.tensor([values]).expand(3, 2) for values in ([1.0, 2.0], [3.0, 0.0]))
    expected = (5 / 2 + 1) ** 3 + (9 / 2 + 1) ** 3 - 2 * (3 / 2 + 1) ** 3
    found = kernel_distance(x, kernel_reference(y))
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert found.error == 0


@pytest.mark.parametrize("d", [64, 512])
def test_against_torch_fidelity_and_cleanfid_on_all_samples(d):
    x, y = features(300, d, 0, 0.1), features(300, d, 1)
    found = kernel_distance(x, kernel_reference(y)).value
    peer = kid_features_to_metric(
        x.double(), y.double(), kid_subsets=1, kid_subset_size=300, rng_seed=0, verbose=False,
        kid_kernel="poly", kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None,
        kid_kernel_poly_coef0=1,
    )["kernel_inception_distance_mean"]  # fmt: skip
    assert found == pytest.approx(peer, rel=1e-5)
    whole = cleanfid_distance(x.double().numpy(), y.double().numpy(), 1, 300)
    assert found == pytest.approx(whole, rel=1e-5)


def test_subsets_are_torch_fidelitys():
    x, y = features(120, 16, 0, 0.1), features(150, 16, 1)
    peer = kid_features_to_metric(
        x.double(), y.double(), kid_subsets=7, kid_subset_size=40, rng_seed=2020, verbose=False,
        kid_kernel="poly", kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None,
        kid_kernel_poly_coef0=1,
    )  # fmt: skip
    found = kernel_distance_of_subsets(x, y, 2020, subsets=7, size=40)
    assert found.value == pytest.approx(peer["kernel_inception_distance_mean"], rel=1e-5)
    spread = peer["kernel_inception_distance_std"] * math.sqrt(7 / 6)
    assert found.error == pytest.approx(spread / math.sqrt(7), rel=1e-5)
    with pytest.raises(UserError, match=r"subsets of 121 .* from 2 to 120"):
        kernel_distance_of_subsets(x, y, 0, size=121)


def test_it_is_unbiased():
    """The mean over redraws from the data itself is 0 within its error."""
    data = features(400, 8, 0)
    prepared = kernel_reference(data)
    # Against all pairs, i = j included, the data as a population are at distance 0.
    own = ((data.double() @ data.double().T / 8 + 1) ** 3).mean() - prepared.term
    random = torch.Generator().manual_seed(1)
    drawn = [
        kernel_distance(data[torch.randint(400, (40,), generator=random)], prepared).value
        for _ in range(400)
    ]
    error = np.std(drawn) / 20
    assert np.mean(drawn) + float(own) == pytest.approx(0, abs=3 * error)
    assert error < 0.1 * abs(np.mean([brute(data[:40], data[40:80]), 0.5]))


def test_the_influence_is_twice_the_projection():
    x, y = features(200, 8, 0, 0.3), features(300, 8, 1)
    k, across = (((x.double() @ z.double().T).numpy() / 8 + 1) ** 3 for z in (x, y))
    np.fill_diagonal(k, 0)
    expected = 2 * (k.sum(1) / 199 - across.mean(1))
    found = kernel_distance(x, kernel_reference(y))
    np.testing.assert_allclose(found.influence, expected - expected.mean(), atol=1e-5)
    assert expected.std() > 0.1


def test_the_error_is_that_of_leaving_samples_out():
    x, prepared = features(200, 8, 0, 0.3), kernel_reference(features(300, 8, 1))
    found = kernel_distance(x, prepared)
    rest = [kernel_distance(torch.cat([x[:i], x[i + 1 :]]), prepared).value for i in range(200)]
    jackknife = math.sqrt(199 * np.var(rest))
    assert found.error == pytest.approx(jackknife, rel=0.05)
