"""The ways in which a search composes a trial: every combination of the choices between words."""

from collections.abc import Iterator, Mapping, Sequence

from ictsweep.study.axes import Axis, Scalar


def branches(axes: Sequence[Axis]) -> Iterator[dict[str, Scalar]]:
    """Every combination of a search's choices of parts (presets, variants, files, whatever is a
    word) and of those that conditions name. An axis that a combination does not have is not in it.
    One empty combination where there are no such choices.
    """
    named = {condition.path for axis in axes for condition in axis.when}
    forks = [axis for axis in axes if axis.path in named or _is_of_words(axis)]
    yield from _combined(forks, {})


def said(params: Mapping[str, Scalar]) -> str:
    """A combination in words."""
    return " and ".join(f"{path} {value}" for path, value in params.items())


def _is_of_words(axis: Axis) -> bool:
    return any(isinstance(choice, str) for choice in axis.choices or ())


def _combined(forks: Sequence[Axis], params: dict[str, Scalar]) -> Iterator[dict[str, Scalar]]:
    if not forks:
        yield params
    elif not forks[0].active(params):
        yield from _combined(forks[1:], params)
    else:
        for choice in forks[0].ends:
            yield from _combined(forks[1:], {**params, forks[0].path: choice})
