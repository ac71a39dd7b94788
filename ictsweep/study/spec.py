"""What a study is: the search space file as a frozen record (neither torch, ray nor optuna).

What can be known without the trial's classes is checked here: keys, types, the axes' own shape.
What the values mean for a trial (domains, rungs, yardsticks) is checked in `study.space`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from ictsweep.errors import SpecError
from ictsweep.problems import Problem, shown
from ictsweep.schema import ReadBy, plain, read
from ictsweep.study.axes import AXES, Axis, axis_to_dict, read_axes
from ictsweep.study.source import Document, read_document

# Choices of the discretisation curriculum, and the parameters that stretch or shift it. In the
# middle of a run they rank the curriculum's position, not the model, so rungs must then be runs of
# their own.
CURRICULUM = ("method.preset", "method.pairs.name", "method.pairs.steps.")

STARTS = "a list of blocks path: value, the first one {}"


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Who suggests: Optuna's TPE after `startup_trials` random ones, or random search."""

    name: Literal["tpe", "random"] = "tpe"
    startup_trials: Annotated[int, Ge(1)] = 16


@dataclass(frozen=True, kw_only=True)
class Stopping:
    """Successive halving: rungs at first_rung_kimg * reduction^i; the best 1/reduction go on.

    `fidelity`: a rung is a complete run of its own length (short_run) or a point of one long run
    (same_run); auto takes short runs when the curriculum, or one of its parameters, is searched.
    """

    name: Literal["asha"] = "asha"
    first_rung_kimg: Annotated[int, Ge(1)]
    reduction: Annotated[int, Ge(2)] = 4
    fidelity: Literal["auto", "short_run", "same_run"] = "auto"


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What each trial gets. `gpus_per_worker` None: 1 if the cluster has GPUs, else 0.

    `launch_kimg`: what starting a trial costs, in kimg of training (for the schedule's clock only).
    """

    workers: Annotated[int, Ge(1)] = 1
    cpus_per_worker: Annotated[int, Ge(1)] = 1
    gpus_per_worker: Annotated[float, Ge(0)] | None = None
    launch_kimg: Annotated[int, Ge(0)] = 0


def _read_name(value: Any) -> tuple[str, list[Problem]]:
    """The study's name: it becomes a folder."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", value):
        return value, []
    quotes = "; put it in quotes" if isinstance(value, int | float) else ""
    message = (
        f"got {shown(value)}; expected 1 to 64 letters, digits, '.', '_', '-', "
        f"not starting with '.' or '-'{quotes}"
    )
    return "", [Problem((), message)]


def _read_starts(value: Any) -> tuple[tuple[dict[str, Any], ...], list[Problem]]:
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        message = f"got {shown(value)}; expected {STARTS}"
        return (), [Problem((), message)]
    if not value or value[0]:
        got = shown(value[0]) if value else "no first entry"
        message = (
            f"got {got}; expected {{}} first: trial 0 is the `trial` block as written, "
            "the baseline that every claim is measured against"
        )
        return (), [Problem((0,) if value else (), message)]
    return tuple(dict(entry) for entry in value), []


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """A study: one complete trial, the values of it that may vary, and how to search them.

    `trial` is the block as written; `study.space.resolve` makes configurations of it. `trials`
    counts configurations, trial 0 (the baseline) included; the baseline runs on `replicates` seeds.
    """

    study: Annotated[str, ReadBy(_read_name, "a name")]
    minimize: str = "fd"
    seed: Annotated[int, Ge(0)] = 0
    trial: dict[str, Any]
    search: Annotated[tuple[Axis, ...], ReadBy(read_axes, AXES)]
    trials: Annotated[int, Ge(1)]
    warm_start: Annotated[tuple[dict[str, Any], ...], ReadBy(_read_starts, STARTS)] = ({},)
    replicates: Annotated[int, Ge(1)] = 3
    sampler: Sampler = Sampler()
    stopping: Stopping
    resources: Resources = Resources()

    @property
    def total(self) -> int:
        """How many trials it runs: the configurations, and the further seeds of trial 0."""
        return self.trials + self.replicates - 1

    @property
    def rungs(self) -> tuple[int, ...]:
        """The budgets (kimg) at which trials are judged; the last is the full one."""
        return ladder(self.stopping, self.trial["budget_kimg"])

    @property
    def short_run(self) -> bool:
        """Whether every rung is a complete run of its own length."""
        if self.stopping.fidelity == "auto":
            return any(axis.path.startswith(CURRICULUM) for axis in self.search)
        return self.stopping.fidelity == "short_run"


def ladder(stopping: Stopping, budget_kimg: int) -> tuple[int, ...]:
    """first_rung_kimg * reduction^i up to the first that reaches the budget."""
    rungs = [stopping.first_rung_kimg]
    while rungs[-1] < budget_kimg:
        rungs.append(rungs[-1] * stopping.reduction)
    return tuple(rungs)


def parse_spec(data: Any) -> tuple[StudySpec | None, list[Problem]]:
    """The spec that plain values describe, or None and what is wrong with them."""
    spec, problems = read(StudySpec, data)
    if spec and len(spec.warm_start) > spec.trials:
        message = f"got {len(spec.warm_start)} entries; expected at most trials {spec.trials}"
        return None, [Problem(("warm_start",), message)]
    return spec, problems


def read_spec(path: Path) -> tuple[StudySpec, Document]:
    """The search space file at `path`; SpecError listing all that is wrong with its form.

    Its meaning is checked by `study.space.check`; `study.space.read_checked` reports both at once.
    """
    document = read_document(path)
    spec, problems = parse_spec(document.data)
    if spec is None:
        raise document.errors(problems)
    return spec, document


def spec_to_dict(spec: StudySpec) -> dict[str, Any]:
    """The spec as a complete search space file's values (study.yaml)."""
    search = {axis.path: axis_to_dict(axis) for axis in spec.search}
    return {f.name: plain(getattr(spec, f.name)) for f in fields(spec)} | {"search": search}


def spec_from_dict(data: Mapping[str, Any]) -> StudySpec:
    """The spec of `spec_to_dict`'s values; SpecError if they are not those of a spec."""
    spec, problems = parse_spec(data)
    if spec is None:
        raise SpecError("\n".join(f"study.yaml: {problem}" for problem in problems))
    return spec


def renamed(spec: StudySpec, name: str) -> StudySpec:
    """The same study under another name; SpecError if it cannot be a study's name."""
    _, problems = _read_name(name)
    if problems:
        raise SpecError(f"study name: {problems[0]}")
    return replace(spec, study=name)
