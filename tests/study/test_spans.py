"""Quantities within bounds: what arithmetic makes of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ictsweep.study.spans import Span, quantile

NUMBERS = st.floats(0, 1e6)


@st.composite
def spans(draw) -> Span:
    return Span(*sorted(draw(st.lists(NUMBERS, min_size=3, max_size=3))))


@given(spans(), spans(), st.floats(0, 1), st.floats(0, 1))
def test_whatever_is_within_two_spans_is_within_their_sum_and_product(
    a: Span, b: Span, s: float, t: float
) -> None:
    x, y = a.low + s * (a.high - a.low), b.low + t * (b.high - b.low)
    for found, value in ((a + b, x + y), (a * b, x * y), (a.at_least(b), max(x, y))):
        assert found.low <= value * (1 + 1e-12)
        assert value <= found.high * (1 + 1e-12)
        assert found.low <= found.likely <= found.high


def test_by_hand() -> None:
    assert Span(1, 2, 3) + Span(10, 20, 40) == Span(11, 22, 43)
    assert Span(1, 2, 3) * Span(10, 20, 40) == Span(10, 40, 120)
    assert Span(1, 2, 3) * 2 == Span(2, 4, 6)
    assert Span(1, 2, 3).at_least(Span(0, 2.5, 2.5)) == Span(1, 2.5, 3)
    assert Span.around([5.0]) == Span(5, 5, 5)
    assert Span.around(range(101)) == Span(5, 50, 95)
    assert quantile([3.0, 1.0], 0.25) == 1.5
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)
