"""The centre square against the function that made the ImageNet of ADM and consistency models."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ictsweep.data.sources.resize import CentreSquare
from tests.peers.checkouts import load


@pytest.mark.parametrize(
    ("w", "h", "side"),
    [(500, 375, 64), (375, 500, 64), (127, 128, 64), (33, 31, 64), (1000, 129, 64), (97, 61, 8)],
)
def test_the_same_pixels(w: int, h: int, side: int) -> None:
    stubs = {"mpi4py": SimpleNamespace(MPI=None), "blobfile": SimpleNamespace()}
    theirs = load("consistency_models", "cm.image_datasets", stubs)
    rough = np.random.default_rng(w).integers(0, 256, (h // 4 + 1, w // 4 + 1, 3), dtype=np.uint8)
    image = Image.fromarray(rough).resize((w, h), Image.Resampling.BICUBIC)
    expected = theirs.center_crop_arr(image, side)
    assert np.array_equal(np.asarray(CentreSquare(side)(image)), expected)
