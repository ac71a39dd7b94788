"""Whether every trial that a search space can suggest is one that can be trained.

A parameter's domain is written once, in its dataclass: an axis is checked by putting its ends (or
every choice) into the trial block and reading the result as a configuration, under every choice
that its conditions allow.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import Any

from ictsweep.config import ConfigError
from ictsweep.problems import KeyPath, Problem, did_you_mean, dotted, shown
from ictsweep.study.axes import Axis, Scalar, chooses_part
from ictsweep.study.conditions import contexts
from ictsweep.study.configurations import completed, configured, value_at
from ictsweep.study.parameters import PRESETS, parameter_problems
from ictsweep.study.spec import PRIOR, StudySpec

Params = Mapping[str, Scalar]


def misfits(block: Mapping[str, Any], params: Params) -> tuple[Problem, ...]:
    """What is wrong with a trial block with `params` in place."""
    try:
        configured(block, params)
    except ConfigError as error:
        return error.problems
    return ()


def axis_problems(spec: StudySpec, axis: Axis) -> list[Problem]:
    """What is wrong with one axis, the others at the trial block's values."""
    found = parameter_problems(axis)
    for check in (
        _condition_problems, _lacking_problems, _absence_problems, _end_problems, _baseline_problems
    ):  # fmt: skip
        found = found or [*check(spec, axis)]
    return found


def _condition_problems(spec: StudySpec, axis: Axis) -> Iterator[Problem]:
    if next(contexts(spec.search, [axis]), None) is None:
        message = "no trial can have it: its conditions and those of the axes they name clash"
        yield Problem(("search", axis.path, "when"), message, at_key=True)


def _lacking_problems(spec: StudySpec, axis: Axis) -> Iterator[Problem]:
    """Choices of other parts under which a trial has no such value, though it has the axis."""
    for other in spec.search:
        if other is axis or axis.path in PRESETS or not chooses_part(other.path):
            continue
        having = {value: _has(spec, axis, other, value) for value in other.ends}
        lacking = [str(value) for value, has in having.items() if has is False]
        if lacking:
            able = ", ".join(str(value) for value, has in having.items() if has)
            paths = [a.path for a in spec.search]
            below = paths.index(other.path) < paths.index(axis.path)
            move = "" if below else " and write it below that choice"
            remedy = f"give it when: {{{other.path}: [{able}]}}{move}" if able else "remove it"
            message = f"with {other.path} {', '.join(lacking)} a trial has no {axis.path}; {remedy}"
            yield Problem(("search", axis.path), message, at_key=True)


def _has(spec: StudySpec, axis: Axis, other: Axis, value: Scalar) -> bool | None:
    """Whether trials with both axes, the other at `value`, have a value on the axis; None where
    there are no such trials.
    """
    answers = []
    for context in contexts(spec.search, [axis, other]):
        if context.get(other.path, value) != value:
            continue
        params = {**context, other.path: value}
        try:
            value_at(spec.trial, configured(spec.trial, params), axis.path)
        except ConfigError:  # said of the other axis
            continue
        except AttributeError:
            answers.append(False)
        else:
            answers.append(True)
    return all(answers) if answers else None


def _absence_problems(spec: StudySpec, axis: Axis) -> Iterator[Problem]:
    """A value that the trial block's own parts do not have."""
    if axis.path in PRESETS and "preset" not in spec.trial[axis.path.removesuffix(".preset")]:
        message = f"trial 0 has no preset; write one of {axis} into `trial`"
        yield Problem(("search", axis.path), message, at_key=True)
        return
    for context in contexts(spec.search, [axis]):
        try:
            value_at(spec.trial, configured(spec.trial, context), axis.path)
        except ConfigError:  # said of another axis
            continue
        except AttributeError:
            given = [f"with {_said(context)}, a trial has"] if context else ["trial 0 has"]
            found = misfits(spec.trial, {**context, axis.path: axis.ends[0]})
            why = next((f": {p.message}" for p in found if _leads_to(p, axis.path)), "")
            yield Problem(("search", axis.path), f"{given[0]} no such value{why}", at_key=True)
            return


def _leads_to(problem: Problem, path: str) -> bool:
    """Whether a problem stands at a dotted path or at a block that holds it."""
    return f"{path}.".startswith(f"{dotted(problem.path)}.")


def _said(context: Params) -> str:
    return " and ".join(f"{path} {value}" for path, value in context.items())


def _end_problems(spec: StudySpec, axis: Axis) -> Iterator[Problem]:
    """Ends of an axis, or choices, that no trial may have."""
    key = "range" if axis.choices is None else "choices"
    for i, end in enumerate(axis.ends):
        for context in contexts(spec.search, [axis]):
            found = [*_messages(spec, axis, end, context)]
            yield from (Problem(("search", axis.path, key, i), message) for message in found)
            if found:
                break


def _messages(spec: StudySpec, axis: Axis, end: Scalar, context: Params) -> Iterator[str]:
    given = [_said(context)] if context else []
    for problem in misfits(spec.trial, {**context, axis.path: end}):
        own = dotted(problem.path) == axis.path
        around = " and ".join(given if own else [*given, shown(end)])
        text = problem.message if own else str(problem)
        yield f"with {around}, {text}" if around else text


def _baseline_problems(spec: StudySpec, axis: Axis) -> Iterator[Problem]:
    try:
        params = completed(spec, {})
    except AttributeError:  # said of another axis
        return
    value = params.get(axis.path)
    if axis.path in params and not axis.holds(value):
        message = (
            f"trial 0 has {shown(value)}, which is not in {axis}; trial 0 is the `trial` block as "
            "written and must be in the space: widen it, or change the value in `trial`"
        )
        yield Problem(("search", axis.path), message, at_key=True)


def corner_problems(spec: StudySpec) -> Iterator[Problem]:
    """Pairs of axes whose extremes exclude each other, such as s0 above s1."""
    for a, b in combinations(spec.search, 2):
        yield from _corner(spec, a, b)


def _corner(spec: StudySpec, a: Axis, b: Axis) -> Iterator[Problem]:
    for context in contexts(spec.search, [a, b]):
        for x, y in product(_extremes(a), _extremes(b)):
            pair = {a.path: x, b.path: y}
            if any(context.get(path, value) != value for path, value in pair.items()):
                continue
            if found := misfits(spec.trial, {**context, **pair}):
                choice = chooses_part(a.path) or chooses_part(b.path)
                remedy = "narrow one of the two" + (", or give one a `when`" if choice else "")
                message = (
                    f"{shown(y)} is possible together with {a.path} {shown(x)}, but then "
                    f"{found[0]}; {remedy}"
                )
                yield Problem(("search", b.path), message, at_key=True)
                return


def _extremes(axis: Axis) -> tuple[Scalar, ...]:
    numbers = [end for end in axis.ends if isinstance(end, int | float)]
    return (min(numbers), max(numbers)) if len(numbers) == len(axis.ends) else axis.ends


def start_problems(spec: StudySpec) -> Iterator[Problem]:
    """What is wrong with the configurations to begin with."""
    axes = {axis.path: axis for axis in spec.search}
    for i, entry in enumerate(spec.warm_start):
        if PRIOR in entry:
            continue  # study.priors
        found = [_value_problem(axes, (i, path), value) for path, value in entry.items()]
        wrong = [problem for problem in found if problem]
        if not wrong:
            wrong = [*_entry_problems(spec, i, entry)]
        yield from (problem.under("warm_start") for problem in wrong)


def _value_problem(axes: Mapping[str, Axis], place: KeyPath, value: Any) -> Problem | None:
    path = str(place[-1])
    if path not in axes:
        message = f"not searched; searched are {', '.join(axes)}{did_you_mean(path, axes)}"
        return Problem(place, message, at_key=True)
    if not axes[path].holds(value):
        return Problem(place, f"got {shown(value)}; expected a value in {axes[path]}")
    return None


def _entry_problems(spec: StudySpec, place: int, entry: Mapping[str, Any]) -> Iterator[Problem]:
    """An entry's values together: axes it does not have, axes it should give."""
    try:
        params = completed(spec, entry)
    except ConfigError as error:
        yield from (Problem((place,), f"with these values, {p}") for p in error.problems)
        return
    except AttributeError as error:
        yield Problem((place,), f"with these values, {error}")
        return
    for path in entry:
        if path not in params:
            message = "this trial does not have it: its `when` does not hold"
            yield Problem((place, path), message, at_key=True)
    for problem in misfits(spec.trial, params):
        yield Problem((place,), f"with these values, {problem}")
    for axis in spec.search:
        value = params.get(axis.path)
        if axis.path in params and not axis.holds(value):
            message = f"with these values, {axis.path} is {shown(value)}, which is not in {axis}"
            yield Problem((place,), f"{message}; give it here")
