import numpy as np
import pytest
import torch

from ictsweep.evaluation import Moments, merged


def features(n, d=7, offset=0.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(n)) + offset


def test_moments_are_numpys_in_float64():
    x = features(50)
    moments = Moments.of(x)
    assert moments.mean.dtype == moments.scatter.dtype == torch.float64
    np.testing.assert_allclose(moments.mean, x.double().numpy().mean(0), rtol=1e-14)
    np.testing.assert_allclose(
        moments.covariance, np.cov(x.double().numpy(), rowvar=False), rtol=1e-12
    )


@pytest.mark.parametrize("sizes", [[1, 49], [10, 10, 30], [1] * 50, [50]])
def test_merging_parts_is_exact_far_from_zero(sizes):
    # A mean of 1e6 and a spread of 1: sums of squares would lose twelve digits here.
    x = features(50).double() + 1e6
    whole, parts = Moments.of(x), merged([Moments.of(part) for part in x.split(sizes)])
    assert parts.count == 50
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-15)
    np.testing.assert_allclose(parts.covariance, np.cov(x.numpy(), rowvar=False), atol=1e-9)


def test_float32_features_are_summed_in_float64():
    x = features(2000, d=3, offset=1000.0)
    np.testing.assert_allclose(
        Moments.of(x).covariance, np.cov(x.double().numpy(), rowvar=False), rtol=1e-10
    )
