"""Every metric against other people's code on the same features; `-s` prints the table."""

import numpy as np
import pytest
import torch
from cleanfid.fid import frechet_distance as cleanfid_frechet
from cleanfid.fid import kernel_distance as cleanfid_kernel
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kernel_mmd
from torch_fidelity.metric_prc import prc_features_to_metric

from ictsweep.evaluation import (
    Moments,
    factor,
    frechet,
    inception_score,
    kernel_distance,
    kernel_reference,
    manifold,
    precision,
    recall,
)

CUBIC = {
    "kid_kernel": "poly",
    "kid_kernel_poly_degree": 3,
    "kid_kernel_poly_gamma": None,
    "kid_kernel_poly_coef0": 1,
}


def features(n, seed, spread=1.0):
    """Float32 [n, 128], positive and correlated."""
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(12, 128, generator=torch.Generator().manual_seed(99)) * spread
    hidden = torch.randn(n, 12, generator=random)
    return (hidden @ mixing * 0.2 + 0.1 * torch.randn(n, 128, generator=random) + 0.4).abs()


def brute_share(x, y):
    """The share of x inside the manifold of y, k = 3, every pair in float64."""
    x, y = x.double().numpy(), y.double().numpy()
    between = np.array([np.sqrt(((y - row) ** 2).sum(1)) for row in x])
    within = np.array([np.sqrt(((y - row) ** 2).sum(1)) for row in y])
    return (between <= np.sort(within, axis=1)[:, 3]).any(1).mean()


def oracles(x, y, logits):
    """(metric, oracle, its number, how near ours must be relative to 1 or to it)."""
    a, b = x.double(), y.double()
    m, c, n, d = (f(v.numpy()) for v in (a, b) for f in (lambda v: v.mean(0), covariance))
    yield "FID", "clean-fid", cleanfid_frechet(m, c, n, d), 1e-6
    statistics = [fid_features_to_statistics(v) for v in (a, b)]
    fidelity = fid_statistics_to_metric(*statistics, verbose=False)
    yield "FID", "torch-fidelity", fidelity["frechet_inception_distance"], 1e-6
    yield "KID", "clean-fid", cleanfid_kernel(a.numpy(), b.numpy(), 1, len(x)), 1e-5
    yield "KID", "torch-fidelity", kernel_mmd(a.numpy(), b.numpy(), **CUBIC), 1e-5
    shares = prc_features_to_metric(
        x, y, prc_neighborhood=3, prc_batch_size=200, save_cpu_ram=True, verbose=False
    )
    for name, brute in (("precision", brute_share(x, y)), ("recall", brute_share(y, x))):
        yield name, "torch-fidelity", shares[name], 1e-7
        yield name, "brute force", brute, 1e-12
    score = isc_features_to_metric(logits, splits=10, shuffle=False)["inception_score_mean"]
    yield "IS", "torch-fidelity", score, 1e-12


def covariance(v):
    return np.cov(v, rowvar=False)


@pytest.mark.filterwarnings("ignore:The `disp` argument")  # clean-fid's call of scipy's sqrtm
def test_on_the_same_features_all_agree():
    x, y = features(500, 0, 0.9), features(500, 1)
    logits = 3 * torch.randn(500, 10, generator=torch.Generator().manual_seed(2)).double()
    balls = manifold(y)
    ours = {
        "FID": frechet(x, factor(Moments.of(y))).value,
        "KID": kernel_distance(x, kernel_reference(y)).value,
        "precision": precision(x, balls).value,
        "recall": recall(x, balls).value,
        "IS": inception_score(logits.softmax(1)).value,
    }
    for metric, oracle, number, tolerance in oracles(x, y, logits):
        apart = abs(ours[metric] - number) / abs(number)
        print(f"{metric:10} {ours[metric]:<14.8g} {oracle:15} {number:<14.8g} {apart:.1e}")
        assert apart <= tolerance, f"{metric}: {ours[metric]}, {oracle}: {number}"
    assert 0 < ours["precision"] < 1
    assert 0 < ours["recall"] < 1
