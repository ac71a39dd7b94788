"""Quantities that are known within bounds (standard library only)."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A quantity, at least 0: most likely `likely`, hardly below `low` or above `high`.

    Sums and products take the bounds together: as if everything were low at once, or high. So a
    span of several sources is wide rather than wrong.
    """

    low: float
    likely: float
    high: float

    @staticmethod
    def exactly(value: float) -> "Span":
        """A quantity without doubt."""
        return Span(value, value, value)

    @staticmethod
    def around(values: Sequence[float]) -> "Span":
        """What measured values say of the next one: their 5 %, 50 % and 95 % quantiles. ValueError
        without any.
        """
        return Span(*(quantile(values, share) for share in (0.05, 0.5, 0.95)))

    def __add__(self, other: "Span") -> "Span":
        return Span(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def __mul__(self, other: "Span | float") -> "Span":
        by = other if isinstance(other, Span) else Span.exactly(other)
        return Span(self.low * by.low, self.likely * by.likely, self.high * by.high)

    def at_least(self, other: "Span") -> "Span":
        """The larger of two quantities."""
        return Span(
            max(self.low, other.low), max(self.likely, other.likely), max(self.high, other.high)
        )


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share in [0, 1] of `values` lies, between neighbours in proportion.
    ValueError without any.
    """
    if not values:
        raise ValueError("no values, so no quantile")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
