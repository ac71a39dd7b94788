"""How samples are drawn, as far as the numbers depend on it: a description, no code."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Route:
    """One way from noise to pictures.

    `solver` is its name for people; `levels` the noise levels that it visits, descending; `noises`
    how many standard normal pictures one sample takes (one per level of a consistency model, one in
    all for an ODE); `eta` and `guidance` as `edge_eta` and `guidance` of `EvaluateConfig`;
    `classes` how many classes the network knows, 0 for samples without labels.
    """

    solver: str
    levels: tuple[float, ...]
    noises: int
    eta: float = 1.0
    guidance: float = 1.0
    classes: int = 0

    @property
    def steps(self) -> int:
        """How many sampling steps."""
        return len(self.levels)
