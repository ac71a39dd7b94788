import numpy as np
import pytest
import torch
from cleanfid.resize import build_resizer

from ictsweep.evaluation.resizing import Bicubic

SIZES = [(8, 8), (32, 32), (64, 64), (100, 77), (299, 299), (512, 600)]


@pytest.mark.parametrize("size", SIZES)
def test_the_filter_is_clean_fids(size):
    x = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    resizer = build_resizer("clean")
    theirs = np.stack([resizer(picture) for picture in x]).transpose(0, 3, 1, 2)
    ours = Bicubic(299)(torch.from_numpy(x).permute(0, 3, 1, 2))
    assert ours.shape == (2, 3, 299, 299)
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-3)  # of 255 levels


def test_overshoots_are_cut():
    x = torch.zeros(1, 1, 8, 8)
    x[..., 4:] = 255
    y = Bicubic(64)(x)
    assert (y.min(), y.max()) == (0, 255)


@pytest.mark.parametrize("size", [5, 299, 1000])
def test_constant_pictures_stay_constant(size):
    y = Bicubic(299)(torch.full((1, 3, size, size), 200.0))
    torch.testing.assert_close(y, torch.full_like(y, 200.0), rtol=0, atol=1e-4)
