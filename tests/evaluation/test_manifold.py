import sys

import numpy as np
import pytest
import torch
from torch_fidelity.metric_prc import prc_features_to_metric

from ictsweep.errors import UserError
from ictsweep.evaluation import Manifold, manifold, precision, recall


def generator(seed):
    return torch.Generator().manual_seed(seed)


def cloud(n, d, seed, scale=1.0, offset=0.0):
    return torch.randn(n, d, generator=generator(seed)) * scale + offset


def distances(x, y):
    x, y = x.double().numpy(), y.double().numpy()
    return np.sqrt(((x[:, None] - y[None]) ** 2).sum(2))


def brute_radii(x, k=3):
    return np.sort(distances(x, x), axis=1)[:, k]  # itself is at place 0


def brute_share(x, balls, radii):
    return (distances(x, balls) <= radii).any(1).mean()


def both(x, data, k=3):
    prepared = manifold(data, k)
    return precision(x, prepared), recall(x, prepared)


@pytest.mark.parametrize("d", [2, 16, 200])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_against_brute_force_in_float64(d, offset):
    x, data = cloud(220, d, 0, 1.05, offset), cloud(300, d, 1, 1.0, offset)
    prepared = manifold(data)
    np.testing.assert_allclose(prepared.radii, brute_radii(data), rtol=1e-12)
    found = [estimate.value for estimate in both(x, data)]
    expected = [
        brute_share(x, data, brute_radii(data)),
        brute_share(data, x, brute_radii(x)),
    ]
    assert found == pytest.approx(expected, abs=1e-12)
    assert 0 < min(expected) < 1


@pytest.mark.parametrize("size", [1e-2, 1e-3, 1e-4])
def test_clusters_that_are_tight_for_float32(size):
    """A model that gives four pictures: neighbours closer than products in float32 resolve."""
    x = cloud(4, 64, 0).repeat(100, 1) + cloud(400, 64, 1, size)
    np.testing.assert_allclose(manifold(x).radii, brute_radii(x), rtol=1e-10)


@pytest.mark.parametrize("save_cpu_ram", [True, False])
def test_against_torch_fidelity(save_cpu_ram):
    x, data = cloud(500, 32, 0, 0.9), cloud(600, 32, 1)
    peer = prc_features_to_metric(
        x, data, prc_neighborhood=3, prc_batch_size=128, save_cpu_ram=save_cpu_ram, verbose=False
    )
    found = [estimate.value for estimate in both(x, data)]
    assert found == pytest.approx([peer["precision"], peer["recall"]], abs=1e-7)


@pytest.mark.parametrize("offset", [0, 1000])
def test_ties_and_duplicates_count_exactly(offset):
    """Points of a small grid, many at the same place and many on a sphere's surface."""
    x, data = (
        torch.randint(0, 4, (n, 3), generator=generator(n)).float() * 0.5 + offset for n in (60, 70)
    )
    found = [estimate.value for estimate in both(x, data)]
    assert found == [
        brute_share(x, data, brute_radii(data)),
        brute_share(data, x, brute_radii(x)),
    ]


def test_duplicates_are_neighbours_at_distance_zero():
    """Five pictures at each of two places: all radii are 0, and only these places are inside."""
    places = torch.tensor([[0.1, 0.7], [30.0, 4.0]])
    prepared = manifold(places.repeat_interleave(5, 0))
    assert prepared.radii.tolist() == [0] * 10
    x = torch.cat([places, places + 1e-4, places.nextafter(torch.tensor(100.0))])
    assert precision(x, prepared).value == pytest.approx(2 / 6)


@pytest.mark.parametrize("rows", [1, 7, 64, 10_000])
def test_blocks_change_nothing(monkeypatch, rows):
    x, data = cloud(90, 8, 0), cloud(110, 8, 1)
    whole = both(x, data)
    monkeypatch.setattr(sys.modules[Manifold.__module__], "_ROWS", rows)
    for a, b in zip(both(x, data), whole, strict=True):
        assert (a.value, a.error) == (b.value, b.error)
        assert torch.equal(a.influence, b.influence)


def test_no_sample_in_reach_and_all_in_reach():
    data = cloud(50, 4, 0)
    far, same = both(data + 1000, data), both(data, data)
    assert [e.value for e in far] == [0, 0]
    assert [e.error for e in far] == [0, 0]
    assert [e.value for e in same] == [1, 1]


def test_the_error_of_precision_is_that_of_a_share():
    found, _ = both(cloud(200, 8, 0, 1.1), cloud(300, 8, 1))
    p = found.value
    assert found.error == pytest.approx((p * (1 - p) / 199) ** 0.5, rel=1e-12)


@pytest.mark.parametrize(("k", "d"), [(1, 2), (2, 2), (3, 2), (3, 6)])
def test_the_influence_on_recall_is_what_leaving_a_sample_out_does(k, d):
    n, data = 40, cloud(90, d, 1)
    x = cloud(n, d, 0, 0.8)
    prepared = manifold(data, k)
    found = recall(x, prepared)
    kept = torch.ones(n, n, dtype=torch.bool).fill_diagonal_(False)
    left_out = [recall(x[keep], prepared).value for keep in kept]
    left_out = torch.tensor(left_out, dtype=torch.float64)
    expected = (n - 1) * (left_out.mean() - left_out)
    torch.testing.assert_close(found.influence, expected, atol=1e-9, rtol=0)
    assert expected.unique().numel() > 3


def test_bad_sizes_are_refused():
    with pytest.raises(UserError, match="at least 4 of them, got 3"):
        manifold(cloud(3, 2, 0))
    with pytest.raises(UserError, match="at least 5 of them, got 4"):
        recall(cloud(4, 2, 0), manifold(cloud(9, 2, 1)))


def test_a_manifold_is_what_its_parts_say():
    """Kept radii and features give the same numbers as a manifold built anew."""
    x, data = cloud(50, 4, 0), cloud(60, 4, 1)
    built = manifold(data)
    kept = Manifold(features=built.features, radii=built.radii)
    assert precision(x, kept).value == precision(x, built).value
