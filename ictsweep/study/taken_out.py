"""One configuration of a study, as a search space file of its own."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import yaml

from ictsweep.study.axes import Axis, chooses_part
from ictsweep.study.configurations import block_with
from ictsweep.study.spec import StudySpec, spec_to_dict

_LONGEST = 64  # a study's name


def space_around(
    spec: StudySpec, number: int, params: Mapping[str, Any], remarks: list[str]
) -> str:
    """The text of a search space whose `trial` block is trial `number` of a study, with its
    `params` in place; `remarks` stand at its top.

    `ictsweep train` takes it as it is, and `run` searches on from there: over the study's ranges
    that this trial has, its parts (presets, variants) left as they are.
    """
    suffix = f"-{number}"
    own = replace(
        spec,
        study=spec.study[: _LONGEST - len(suffix)] + suffix,
        trial=block_with(spec.trial, params),
        search=_around(spec, params),
        warm_start=({},),
    )
    head = "".join(f"# {remark}\n" for remark in remarks)
    return f"{head}\n{yaml.safe_dump(spec_to_dict(own), sort_keys=False, allow_unicode=True)}"


def _around(spec: StudySpec, params: Mapping[str, Any]) -> tuple[Axis, ...]:
    """The axes that a trial has, free of the choices that it has made; all of the study's where it
    has none but those.
    """
    inside = [axis for axis in spec.search if axis.path in params and not chooses_part(axis.path)]
    return tuple(replace(axis, when=()) for axis in inside) or spec.search
