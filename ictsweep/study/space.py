"""The meaning of a search space: suggestions become configurations; axes become Optuna's."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from ictsweep.config import ConfigError, TrialConfig
from ictsweep.errors import SpecError, UserError
from ictsweep.problems import dotted, number_type
from ictsweep.study.axes import Axis
from ictsweep.study.configurations import completed, configured
from ictsweep.study.soundness import space_problems, trial_problems
from ictsweep.study.source import Document, read_document, read_value
from ictsweep.study.spec import StudySpec, parse_spec
from ictsweep.variants import leaves


def resolve(spec: StudySpec, params: Mapping[str, Any]) -> TrialConfig:
    """The trial block with `params` (by dotted path) in place; ConfigError if they do not fit.

    Where they choose another preset or variant, values of the block that it does not have do not
    apply.
    """
    return configured(spec.trial, params)


def starts(spec: StudySpec) -> tuple[dict[str, Any], ...]:
    """The parameters that a study begins with: trial 0's, as the trial block has them, and those of
    every warm start. Each holds the axes that its trial has.
    """
    return tuple(completed(spec, entry) for entry in spec.starts)


def overridden(spec: StudySpec, settings: Iterable[str]) -> TrialConfig:
    """The trial block with settings "dotted.path=value" (YAML values) from the command line."""
    changes: dict[str, Any] = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise UserError(f"--set {setting}: expected PATH=VALUE, such as optimizer.lr=1e-3")
        changes[path.strip()] = read_value(text)
    try:
        return resolve(spec, changes)
    except ConfigError as error:
        raise UserError("\n".join(f"--set: {problem}" for problem in error.problems)) from None


def distributions(spec: StudySpec) -> dict[str, BaseDistribution]:
    """The axes in Optuna's terms, by dotted path; integers where the parameter is one."""
    kinds = {dotted(path): number_type(hint) for path, hint in leaves(TrialConfig).items()}
    return {axis.path: _distribution(axis, kinds.get(axis.path)) for axis in spec.search}


def _distribution(axis: Axis, kind: type | None) -> BaseDistribution:
    if axis.choices is not None:
        numbers = [c for c in axis.choices if kind is float and isinstance(c, int | float)]
        return CategoricalDistribution([float(c) for c in numbers] or axis.choices)
    assert axis.low is not None
    assert axis.high is not None
    if kind is int:
        return IntDistribution(
            int(axis.low), int(axis.high), log=axis.log, step=int(axis.step or 1)
        )
    return FloatDistribution(axis.low, axis.high, log=axis.log, step=axis.step)


def check(spec: StudySpec, document: Document) -> None:
    """SpecError, listing all that is wrong with its place in the file, if the study cannot run."""
    if problems := space_problems(spec):
        raise document.errors(problems)


def sound(spec: StudySpec) -> StudySpec:
    """The spec itself; SpecError, listing all that is wrong with it, if the study cannot run."""
    if problems := space_problems(spec):
        raise SpecError("\n".join(map(str, problems)))
    return spec


def read_checked(path: Path) -> tuple[StudySpec, Document]:
    """A sound spec; SpecError listing all that is wrong with the file's form and its meaning."""
    document = read_document(path)
    spec, problems = parse_spec(document.data)
    if spec is None:
        block = document.data.get("trial") if isinstance(document.data, dict) else None
        meaning = trial_problems(block) if isinstance(block, dict) else []
        raise document.errors([*problems, *meaning])
    check(spec, document)
    return spec, document
