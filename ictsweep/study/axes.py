"""The axes of a search: which values of a trial may vary, and how far.

In the file: `dotted.path: {range: [low, high], log: true}`, `{range: [low, high], step: s}` or
`{choices: [a, b, ...]}`. With `when: {other.path: value}` (or a list of values) an axis is there
only in trials where an earlier choice has that value: `study.conditions`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from annotated_types import Gt, MinLen

from ictsweep.problems import KeyPath, Problem, did_you_mean, shown
from ictsweep.schema import ReadBy, read

Scalar = str | int | float | bool | None
Number = int | float
WHEN = "a block other.path: value, or other.path: [a, b]"
AXES = "at least one value of `trial` that may vary, as dotted.path: {range: [low, high]}"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """That an earlier choice, the axis at `path`, has one of `values`."""

    path: str
    values: tuple[Scalar, ...]

    def holds(self, params: Mapping[str, Scalar]) -> bool:
        """Whether it does in `params`; not where that axis is missing."""
        return self.path in params and any(same(params[self.path], v) for v in self.values)

    def __str__(self) -> str:
        return f"{self.path} is {' or '.join(map(str, self.values))}"


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One parameter that may vary, by its dotted path: between `low` and `high`, or over `choices`.

    Both ends belong to the range. With `step` only low, low + step, ... high are possible. It is
    there in trials where every condition of `when` holds.
    """

    path: str
    low: Number | None = None
    high: Number | None = None
    log: bool = False
    step: Number | None = None
    choices: tuple[Scalar, ...] | None = None
    when: tuple[Condition, ...] = ()

    def active(self, params: Mapping[str, Scalar]) -> bool:
        """Whether a trial whose earlier axes have the values `params` has this one."""
        return all(condition.holds(params) for condition in self.when)

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """The values that stand for all of them: both ends, or every choice."""
        return (self.low, self.high) if self.choices is None else self.choices

    def holds(self, value: Scalar) -> bool:
        """Whether `value` can be taken on this axis."""
        if self.choices is not None:
            return any(same(value, choice) for choice in self.choices)
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
    if not problems:
        problems = [p for i in range(len(axes)) for p in _condition_problems(axes, i)]
    return tuple(axes), problems


def axis_to_dict(axis: Axis) -> dict[str, Any]:
    """The axis as it is written."""
    when = {c.path: list(c.values) for c in axis.when}
    rest = {"log": axis.log, "step": axis.step, "when": when}
    extent = (
        {"range": [axis.low, axis.high]}
        if axis.choices is None
        else {"choices": list(axis.choices)}
    )
    return extent | {key: value for key, value in rest.items() if value}


def substituted(block: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """A trial block with the values `params` at their dotted paths; the block stays as it is."""
    result = dict(block)
    for path, value in params.items():
        head, _, rest = path.partition(".")
        inner = result.get(head)
        below = inner if isinstance(inner, Mapping) else {}
        result[head] = substituted(below, {rest: value}) if rest else value
    return result


def flattened(block: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of nested blocks by their dotted paths; an empty block is a value."""
    found: dict[str, Any] = {}
    for key, value in block.items():
        if isinstance(value, Mapping) and value:
            found |= flattened(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _read_when(value: Any) -> tuple[tuple[Condition, ...], list[Problem]]:
    if not isinstance(value, Mapping) or not value:
        return (), [Problem((), f"got {shown(value)}; expected {WHEN}")]
    conditions, problems = [], []
    for path, given in value.items():
        values = given if isinstance(given, list) else [given]
        if not values or any(isinstance(v, list | Mapping) for v in values):
            message = f"got {shown(given)}; expected one of that axis's choices, or a list of them"
            problems.append(Problem((path,), message))
        conditions.append(Condition(path=path, values=tuple(values)))
    return tuple(conditions), problems


def _condition_problems(axes: Sequence[Axis], place: int) -> Iterable[Problem]:
    """What is wrong with the conditions of one axis, given the others."""
    above = {axis.path: axis for axis in axes[:place] if axis.choices is not None}
    paths = [axis.path for axis in axes]
    for condition in axes[place].when:
        spot, path = (axes[place].path, "when", condition.path), condition.path
        if path in above:
            yield from _value_problems(condition, above[path], spot)
            continue
        known = f"expected a choice above this axis: {', '.join(above) or 'there is none'}"
        if path not in paths:
            message = f"not searched; {known}{did_you_mean(path, above)}"
        elif paths.index(path) < place:
            message = f"a range, not choices; {known}"
        else:
            message = f"not above this axis; {known}; move {path} up"
        yield Problem(spot, message, at_key=True)


def _value_problems(condition: Condition, axis: Axis, spot: KeyPath) -> Iterable[Problem]:
    assert axis.choices is not None
    texts = [choice for choice in axis.choices if isinstance(choice, str)]
    for i, value in enumerate(condition.values):
        if not axis.holds(value):
            place = (*spot, i) if len(condition.values) > 1 else spot
            message = f"got {shown(value)}; expected one of {axis}{did_you_mean(value, texts)}"
            yield Problem(place, message)


@dataclass(frozen=True, kw_only=True)
class _AxisBlock:
    """An axis as it is written."""

    range: tuple[Number, Number] | None = None
    log: bool = False
    step: Annotated[Number, Gt(0)] | None = None
    choices: Annotated[tuple[Scalar, ...], MinLen(2)] | None = None
    when: Annotated[tuple[Condition, ...], ReadBy(_read_when, WHEN)] = ()


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
        path=path, low=low, high=high, log=block.log, step=block.step, choices=block.choices,
        when=block.when,
    ), []  # fmt: skip


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
        if any(same(choice, earlier) for earlier in block.choices[:i]):
            yield Problem(("choices", i), f"got {shown(choice)} twice; name every choice once")
    if block.log or block.step:
        key = "log" if block.log else "step"
        yield Problem((key,), f"choices have no {key}; remove it", at_key=True)


def chooses_part(path: str) -> bool:
    """Whether the value at a dotted path decides which other values there are."""
    return path.rpartition(".")[2] in ("preset", "name")


def same(a: Scalar, b: Scalar) -> bool:
    """Equality under which true is not 1."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)
