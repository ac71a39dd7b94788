"""What the comparisons of losses share: one fixed network in float64, and a peer's view of it.

What is compared is the training mathematics, so every network is a Denoiser of the same F; where a
peer's class does its own preconditioning (in float32), its inner network is replaced by that F.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from ictsweep.consistency import (
    Denoiser,
    Scalings,
)

CLOSE = {"rtol": 1e-6, "atol": 0.0}


class Fixed(torch.nn.Module):
    """A smooth F that mixes neighbouring pixels and depends on the noise level."""

    def __init__(self, tilt: float = 0.3) -> None:
        super().__init__()
        self.tilt = tilt

    def forward(self, x: Tensor, c_noise: Tensor, *_: Any, **__: Any) -> Tensor:
        c = c_noise.view(-1, 1, 1, 1)
        return torch.tanh(x + self.tilt * x.roll(1, -1) + c) - 0.2 * c


def fixed(scalings: Scalings, tilt: float = 0.3) -> Denoiser:
    return Denoiser(Fixed(tilt), scalings)


@contextlib.contextmanager
def double() -> Iterator[None]:
    """What a peer creates is float64, and CUDA's random state, where it asks, the CPU's."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "get_rng_state", lambda *_: torch.get_rng_state())
        patch.setattr(torch.cuda, "set_rng_state", lambda state, **_: torch.set_rng_state(state))
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def pictures(n: int = 24, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, 8, 8, generator=generator, dtype=torch.float64) * 2 - 1


class Recorder:
    """A peer's network: the Denoiser `f`, remembering what it was shown."""

    def __init__(self, f: Denoiser) -> None:
        self.f = f
        self.calls: list[tuple[Tensor, Tensor]] = []

    def __call__(self, x: Tensor, sigma: Tensor, *_: Any, **__: Any) -> Tensor:
        sigma = sigma.flatten().expand(len(x))
        self.calls.append((x, sigma))
        return self.f(x, sigma)
