"""Parameters in figures: their names where room is short, and which trials lie on their axes."""

from collections.abc import Mapping
from typing import Any

from ictsweep.study.spec import Axis


def lies_on(axis: Axis, params: Mapping[str, Any]) -> bool:
    """Whether a trial has this parameter, and a place for it: a number, on a range."""
    value = params.get(axis.path)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return axis.path in params and (axis.choices is not None or number)


def short(path: str) -> str:
    """The last two names of a dotted path: enough to tell parameters apart, short enough for an
    axis.
    """
    return ".".join(path.split(".")[-2:])
