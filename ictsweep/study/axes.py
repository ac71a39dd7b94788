"""The axes of a search: which values of a trial may vary, and how far.

In the file: `dotted.path: {range: [low, high], log: true}`, `{range: [low, high], step: s}` or
`{choices: [a, b, ...]}`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from annotated_types import Gt, MinLen

from ictsweep.problems import Problem, shown
from ictsweep.schema import read

Scalar = str | int | float | bool | None
Number = int | float
AXES = "at least one value of `trial` that may vary, as dotted.path: {range: [low, high]}"


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One parameter that may vary, by its dotted path: between `low` and `high`, or over `choices`.

    Both ends belong to the range. With `step` only low, low + step, ... high are possible.
    """

    path: str
    low: Number | None = None
    high: Number | None = None
    log: bool = False
    step: Number | None = None
    choices: tuple[Scalar, ...] | None = None

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """The values that stand for all of them: both ends, or every choice."""
        return (self.low, self.high) if self.choices is None else self.choices

    def holds(self, value: Scalar) -> bool:
        """Whether `value` can be taken on this axis."""
        if self.choices is not None:
            return any(_same(value, choice) for choice in self.choices)
        assert self.low is not None
        assert self.high is not None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        steps = (value - self.low) / self.step if self.step else 0
        return self.low <= value <= self.high and abs(steps - round(steps)) < 1e-8

    def __str__(self) -> str:
        if self.choices is not None:
            return f"the choices {', '.join(map(str, self.choices))}"
        every = f" in steps of {self.step}" if self.step else ""
        return f"the range [{self.low}, {self.high}]{every}"


def read_axes(value: Any) -> tuple[tuple[Axis, ...], list[Problem]]:
    """The axes of a `search` block, and what is wrong with it."""
    if not isinstance(value, Mapping) or not value:
        return (), [Problem((), f"got {shown(value)}; expected {AXES}")]
    axes, problems = [], []
    for path, written in value.items():
        axis, found = _read_axis(path, written)
        axes += [axis] if axis else []
        problems += [problem.under(path) for problem in found]
    return tuple(axes), problems


def axis_to_dict(axis: Axis) -> dict[str, Any]:
    """The axis as it is written."""
    if axis.choices is not None:
        return {"choices": list(axis.choices)}
    marks = {"log": axis.log, "step": axis.step}
    return {"range": [axis.low, axis.high]} | {key: mark for key, mark in marks.items() if mark}


def substituted(block: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """A trial block with the values `params` at their dotted paths; the block stays as it is."""
    result = dict(block)
    for path, value in params.items():
        head, _, rest = path.partition(".")
        inner = result.get(head)
        below = inner if isinstance(inner, Mapping) else {}
        result[head] = substituted(below, {rest: value}) if rest else value
    return result


@dataclass(frozen=True, kw_only=True)
class _AxisBlock:
    """An axis as it is written."""

    range: tuple[Number, Number] | None = None
    log: bool = False
    step: Annotated[Number, Gt(0)] | None = None
    choices: Annotated[tuple[Scalar, ...], MinLen(2)] | None = None


def _read_axis(path: str, written: Any) -> tuple[Axis | None, list[Problem]]:
    block, problems = read(_AxisBlock, written)
    if block is None:
        return None, problems
    if (block.range is None) == (block.choices is None):
        message = "expected either range: [low, high] or choices: [a, b, ...]"
        return None, [Problem((), message, at_key=True)]
    if problems := [*(_range_problems(block) if block.range else _choice_problems(block))]:
        return None, problems
    low, high = block.range or (None, None)
    return Axis(
        path=path, low=low, high=high, log=block.log, step=block.step, choices=block.choices
    ), []


def _range_problems(block: _AxisBlock) -> Iterable[Problem]:
    assert block.range is not None
    low, high = block.range
    if low >= high:
        yield Problem(
            ("range",), f"got [{low}, {high}]; expected the lower end first, then a higher one"
        )
        return
    if block.log and low <= 0:
        yield Problem(("range", 0), f"got {low}; log: true needs a range above 0")
    if block.step and block.log:
        yield Problem(("step",), "log: true and a step exclude each other; remove one of them")
    elif block.step:
        yield from _step_problems(low, high, block.step)


def _step_problems(low: Number, high: Number, step: Number) -> Iterable[Problem]:
    start, end, by = (Decimal(str(number)) for number in (low, high, step))
    over = (end - start) % by
    if over:
        near = [f"{e.normalize():f}" for e in (end - over, end - over + by) if e > start]
        message = f"got {step}; from {low} it reaches {' or '.join(near)}, not {high}"
        yield Problem(("step",), message)


def _choice_problems(block: _AxisBlock) -> Iterable[Problem]:
    assert block.choices is not None
    for i, choice in enumerate(block.choices):
        if any(_same(choice, earlier) for earlier in block.choices[:i]):
            yield Problem(("choices", i), f"got {shown(choice)} twice; name every choice once")
    if block.log or block.step:
        key = "log" if block.log else "step"
        yield Problem((key,), f"choices have no {key}; remove it", at_key=True)


def _same(a: Scalar, b: Scalar) -> bool:
    """Equality under which true is not 1."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)
