"""What it takes to run the study, or its best trial, again."""

import copy
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from ictsweep.report.view import StudyView


def leader(view: StudyView) -> int:
    """The trial whose configuration to take: the best searched one if it beat trial 0's mean (or
    there is no such mean), else 0.
    """
    beaten = view.comparison is not None and view.comparison.margin <= 0
    return 0 if view.best is None or beaten else view.best


def configuration(view: StudyView, number: int) -> str:
    """The `trial` block of a search space with the trial's parameters in it, as YAML; the whole
    configuration where they replace parts of it.
    """
    trial = next((t for t in view.trials if t.number == number), None)
    block = trial.configuration if trial else None
    if block is None:
        block = merged(view.spec.trial, trial.params if trial else {})
    return yaml.safe_dump({"trial": block}, sort_keys=False, allow_unicode=True)


def merged(trial: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The trial block with every dotted path of `params` set."""
    block = copy.deepcopy(dict(trial))
    for path, value in params.items():
        *parents, last = path.split(".")
        node = block
        for name in parents:
            node = node.setdefault(name, {})
        node[last] = value
    return block


def commands(view: StudyView, number: int) -> list[tuple[str, str]]:
    """(what for, shell line), with study.yaml as saved from the page."""
    params = next((t.params for t in view.trials if t.number == number), {})
    return [
        (
            "The whole study again, from the search space saved as study.yaml",
            "ictsweep run study.yaml",
        ),
        (f"Only trial {number}, at the full budget", f"ictsweep train study.yaml{sets(params)}"),
        ("This page again, from the study's folder", "ictsweep report STUDY_FOLDER"),
    ]


def sets(params: Mapping[str, Any]) -> str:
    """The options of `ictsweep train` that give a trial its parameters, one a line (trial.js writes
    the same).
    """
    return "".join(
        f" \\\n  --set {shlex.quote(f'{path}={written(value)}')}" for path, value in params.items()
    )


def written(value: Any) -> str:
    """A value as YAML has it on one line."""
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...")


def facts(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """A manifest or passport as (dotted name, text) pairs, in its own order."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from facts(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
