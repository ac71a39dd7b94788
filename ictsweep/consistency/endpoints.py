"""Which clean image the two noisy ones of a pair come from."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Le
from torch import Tensor

from ictsweep.consistency.averages import FixedEma, HalfLifeEma, PowerEma, WarmupEma

__all__ = ["Data", "Generated"]


@dataclass(frozen=True, kw_only=True)
class Data:
    """The image of the data set."""

    name: Literal["data"] = "data"

    def draw(
        self, n: int, generator: torch.Generator, device: torch.device | str | None = None
    ) -> None:
        """Nothing: every endpoint is data, and nothing is taken from `generator`."""
        return


@dataclass(frozen=True, kw_only=True)
class Generated:
    """With probability `share`, what an average g of the student makes of the noisy image:
    y = sg g(x0 + r z, r), and x0 otherwise.

    Generator-augmented flows, Issenhuth et al. 2024 (arXiv:2406.09570), section 4; `share` is their
    mu, the share of GENERATED endpoints. (The released code's `mix_gen_induced_traj` is 1 - mu.)
    `ema` is the average that g is.
    """

    name: Literal["generated"] = "generated"
    share: Annotated[float, Ge(0), Le(1)] = 0.5
    ema: WarmupEma | PowerEma | FixedEma | HalfLifeEma = field(default_factory=WarmupEma)

    def draw(
        self, n: int, generator: torch.Generator, device: torch.device | str | None = None
    ) -> Tensor:
        """Which of `n` endpoints are generated: bool [n] on `device`, independent of each other.

        One uniform number per image comes from `generator`, wherever that lives.
        """
        u = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)
        return (u < self.share).to(device)
