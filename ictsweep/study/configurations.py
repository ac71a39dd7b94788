"""From a trial block and values on its axes to a configuration."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ictsweep.config import BLOCKS, TrialConfig, trial_config
from ictsweep.pruning import pruned
from ictsweep.study.axes import Axis, chooses_part, substituted
from ictsweep.study.spec import StudySpec

_START = "init.path"


def configured(block: Mapping[str, Any], params: Mapping[str, Any]) -> TrialConfig:
    """The trial block with `params` (by dotted path) in place; ConfigError if they do not fit.

    Where they choose another preset or variant, values of the block that it does not have do not
    apply; `params` themselves must all apply.
    """
    return trial_config(block_with(block, params))


def block_with(block: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The trial block that `configured` reads."""
    chosen = {path: value for path, value in params.items() if chooses_part(path)}
    if chosen:
        block = pruned(TrialConfig, substituted(block, chosen), BLOCKS)
    return substituted(block, params)


def value_at(block: Mapping[str, Any], config: TrialConfig, path: str) -> Any:
    """The value at a dotted path of `config`, which came of `block`; a preset's name, which only
    the block knows. AttributeError if there is none.
    """
    if not path.endswith(".preset"):
        return config.value(path)
    part = block[path.removesuffix(".preset")]
    if "preset" not in part:
        raise AttributeError(path)
    return part["preset"]


def with_starts(spec: StudySpec, path: Callable[[str], str]) -> StudySpec:
    """The spec with `path` of every `init.path` in it: in the trial block, the axes, their
    conditions and the warm starts.
    """

    def mapped(value: Any) -> Any:
        return path(value) if isinstance(value, str) else value

    def placed(axis: Axis) -> Axis:
        when = tuple(
            replace(c, values=tuple(map(mapped, c.values))) if c.path == _START else c
            for c in axis.when
        )
        if axis.path != _START or axis.choices is None:
            return replace(axis, when=when)
        return replace(axis, when=when, choices=tuple(map(mapped, axis.choices)))

    trial = dict(spec.trial)
    if trial.get("init", {}).get("path"):
        trial = substituted(trial, {_START: mapped(trial["init"]["path"])})
    entries = [{k: mapped(v) if k == _START else v for k, v in e.items()} for e in spec.warm_start]
    return replace(
        spec, trial=trial, search=tuple(map(placed, spec.search)), warm_start=tuple(entries)
    )


def possible(spec: StudySpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a trial that the search can suggest, with the values `given` on some axes: on
    the others what the trial block then has, or their first end where that is not in them.
    """
    found = completed(spec, given)
    ends = {axis.path: axis.ends[0] for axis in spec.search if not axis.holds(found.get(axis.path))}
    return {path: ends.get(path, value) for path, value in found.items()}


def completed(spec: StudySpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the trial with the values `given` on some axes: on the others, what the
    trial block then has. Values given to axes that the trial does not have are left out.

    AttributeError if the trial has an axis but no value there; ConfigError if the parts given make
    no configuration (whether all values do is not asked).
    """
    config, parts = configured(spec.trial, {}), {}
    params: dict[str, Any] = {}
    for axis in spec.search:
        path = axis.path
        if not axis.active(params):
            continue
        params[path] = given[path] if path in given else value_at(spec.trial, config, path)
        if path in given and chooses_part(path):
            parts[path] = given[path]
            config = configured(spec.trial, parts)
    return params
