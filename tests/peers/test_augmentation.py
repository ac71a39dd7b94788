"""Augmented pictures and their labels side by side with EDM's own pipeline, on its own draws."""

import math
from types import ModuleType
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from ictsweep.data.augment import Augmentation, augmented
from tests.peers.checkouts import edm_stubs, load
from tests.peers.fixed import double

# What EDM's train.py asks for, whatever the probability.
EDM = {"xflip": 1e8, "yflip": 1, "scale": 1, "rotate_frac": 1, "aniso": 1, "translate_frac": 1}


@pytest.fixture
def module() -> ModuleType:
    stubs = edm_stubs()
    stubs["torch_utils.misc"].constant = constant
    stubs["torch_utils"].misc.constant = constant
    return load("edm", "training.augment", stubs)


def widest(value, *rest, **options) -> Tensor:
    """`constant`, with the least that they pad by, 0 on each side, replaced by more than there is:
    they reflect as much as can be whatever the batch needs."""
    least = isinstance(value, list) and value == [0] * 4
    return constant([1000] * 4 if least else value, *rest, **options)


def constant(value, shape=None, dtype=None, device=None, memory_format=None) -> Tensor:
    """A stand-in for their cache of constants."""
    made = torch.as_tensor(np.array(value), dtype=dtype or torch.get_default_dtype(), device=device)
    return made if shape is None else made.expand(shape)


def replay(n: int, p: float, seed: int) -> Augmentation:
    """What their pipeline draws, in its order."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)

        def gated(values: Tensor, probability: float) -> Tensor:
            chosen = torch.rand(n) < probability
            return torch.where(chosen, values, torch.zeros_like(values))

        mirrored = gated(torch.randint(2, [n]), 1e8 * p)
        upended = gated(torch.randint(2, [n]), p)
        scale = gated(torch.randn(n), p)
        angle = gated((torch.rand(n) * 2 - 1) * math.pi, p)
        stretch, direction = torch.randn(n), (torch.rand(n) * 2 - 1) * math.pi
        stretch = gated(stretch, p)
        direction = gated(direction, 0.5)
        shift = gated(torch.randn(2, n), p)
    return Augmentation(
        mirrored=mirrored == 1, upended=upended == 1, scale=scale, angle=angle, stretch=stretch,
        direction=direction, shift=shift.T,
    )  # fmt: skip


def noise(n: int, shape: tuple[int, int, int]) -> Tensor:
    """Pictures in which every error of a place shows."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(n, *shape, generator=generator) * 2 - 1


def theirs(module: ModuleType, images: Tensor, p: float, seed: int) -> tuple[Tensor, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return module.AugmentPipe(p=p, **EDM)(images)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (3, 16, 24)])
@pytest.mark.parametrize("p", [0.12, 1.0])
def test_pictures_and_labels_of_edm(module, shape, p):
    """In float64; their filter is float32. They reflect as much as the corners of their batch need,
    which cuts the filter's last taps at a few pixels."""
    n = 64
    with double():
        images = noise(n, shape)
        what, found = replay(n, p, 1), {}
        for padding in (constant, widest):
            cast(Any, module).misc.constant = padding
            found[padding], labels = theirs(module, images, p, 1)
            torch.testing.assert_close(what.labels.float(), labels, rtol=0, atol=1e-6)
        ours = augmented(images, what)
        torch.testing.assert_close(ours, found[widest], rtol=0, atol=1e-6)
        apart = (ours - found[constant]).abs()
        assert apart.max() <= 5e-4
        assert (apart > 1e-6).double().mean() <= 1e-3
        assert (ours - images).abs().max() > 1


def test_pictures_of_edm_in_float32(module):
    """A hilly picture, as photographs are, to 1e-5."""
    n = 64
    images = torch.nn.functional.avg_pool2d(noise(n, (3, 40, 40)), 9, stride=1)
    images = images / images.abs().max()
    pictures, labels = theirs(module, images, 0.5, 3)
    what = replay(n, 0.5, 3)
    torch.testing.assert_close(what.labels, labels, rtol=0, atol=1e-6)
    torch.testing.assert_close(augmented(images, what), pictures, rtol=0, atol=1e-5)
