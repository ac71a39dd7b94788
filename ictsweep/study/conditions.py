"""Which axes a trial has: those whose conditions hold for the axes before them."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

from ictsweep.study.axes import Axis, Scalar


def taken(axes: Sequence[Axis], value: Callable[[Axis], Any]) -> dict[str, Any]:
    """A trial's parameters: `value` of each axis that it has, asked in order."""
    params: dict[str, Any] = {}
    for axis in axes:
        if axis.active(params):
            params[axis.path] = value(axis)
    return params


def contexts(axes: Sequence[Axis], among: Sequence[Axis]) -> Iterator[dict[str, Scalar]]:
    """The smallest assignments of choices under which a trial has all axes of `among`.

    Only axes that conditions name are assigned; one empty assignment where there are none. Nothing
    if no trial can have them all.
    """
    needed = _named(axes, among)
    for values in product(*(axis.ends for axis in needed)):
        params = dict(zip((axis.path for axis in needed), values, strict=True))
        if all(axis.active(params) for axis in (*needed, *among)):
            yield params


def _named(axes: Sequence[Axis], among: Sequence[Axis]) -> list[Axis]:
    """The axes named by conditions of `among`, by conditions of those, and so on; in order."""
    by_path = {axis.path: axis for axis in axes}
    found: set[str] = set()
    waiting = list(among)
    while waiting:
        new = {condition.path for condition in waiting.pop().when} - found
        found |= new
        waiting += [by_path[path] for path in new]
    return [axis for axis in axes if axis.path in found]
