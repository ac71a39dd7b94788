"""Training methods as values: what to compare (pairs), by what measure (distance), how much it
counts (weighting)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated

from annotated_types import Gt

from ictsweep.consistency.distances import PseudoHuber
from ictsweep.consistency.levels import KarrasGrid, LogNormal
from ictsweep.consistency.pairs import Doubling, GridPairs
from ictsweep.consistency.preconditioning import Scalings
from ictsweep.consistency.weightings import InverseGap

__all__ = ["METHODS", "Method"]


@dataclass(frozen=True, kw_only=True)
class Method:
    """A consistency-training method. `sigma_data` is the standard deviation of the data in [-1,
    1]."""

    pairs: GridPairs = field(default_factory=GridPairs)
    distance: PseudoHuber = field(default_factory=PseudoHuber)
    weighting: InverseGap = field(default_factory=InverseGap)
    sigma_data: Annotated[float, Gt(0)] = 0.5

    @property
    def scalings(self) -> Scalings:
        """The preconditioning that belongs to the method's grid."""
        return Scalings(sigma_data=self.sigma_data, sigma_min=self.pairs.grid.sigma_min)


# Song & Dhariwal 2023, "Improved Techniques for Training Consistency Models" (arXiv:2310.14189),
# Table 1 (iCT).
_ICT = Method(
    pairs=GridPairs(
        density=LogNormal(mean=-1.1, std=2.0),
        steps=Doubling(s0=10, s1=1280, period=1 / 8),
        grid=KarrasGrid(sigma_min=0.002, sigma_max=80.0, rho=7.0),
    ),
    distance=PseudoHuber(c_scale=0.00054),
    weighting=InverseGap(),
    sigma_data=0.5,
)

METHODS: Mapping[str, Method] = MappingProxyType({"ict": _ICT})
