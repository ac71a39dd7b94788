"""What a study is: the search space file as a frozen record (neither torch, ray nor optuna).

What can be known without the trial's classes is checked here: keys, types, the axes' own shape.
What the values mean for a trial (domains, rungs, yardsticks) is checked in `study.space`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt

from ictsweep.errors import SpecError
from ictsweep.problems import Problem, shown
from ictsweep.schema import ReadBy, plain, read
from ictsweep.study.axes import AXES, Axis, axis_to_dict, read_axes
from ictsweep.study.source import Document, read_document

# Choices of the discretisation curriculum, and the parameters that stretch or shift it. In the
# middle of a run they rank the curriculum's position, not the model, so rungs must then be runs of
# their own.
CURRICULUM = ("method.preset", "method.pairs.name", "method.pairs.steps.")

ORIGIN = "what `ictsweep promote` writes: study, trial, digest, kimg"
STARTS = "a list of blocks path: value (or study: PATH of an older study), the first one {}"


PRIOR = "study"  # in warm_start: an older study whose results the sampler is told

Amount = Annotated[float, Gt(0)]


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
    """What each trial gets. `gpus_per_worker` None: 1 if the cluster has GPUs, else 0; a part of a
    GPU, for small networks, leaves the rest of it to other trials.

    `launch_kimg`: what starting a trial costs, in kimg of training (for the schedule's clock only).
    `accelerator_type`: the kind of GPU that all workers of a trial get, in Ray's words ("A100").
    `max_trials`: at most so many trials at once; on a cluster that grows on demand, what is asked
    for. ValueError for GPUs that the workers could not use.
    """

    workers: Annotated[int, Ge(1)] = 1
    cpus_per_worker: Annotated[int, Ge(1)] = 1
    gpus_per_worker: Annotated[float, Ge(0)] | None = None
    launch_kimg: Annotated[int, Ge(0)] = 0
    accelerator_type: str | None = None
    max_trials: Annotated[int, Ge(1)] | None = None

    def __post_init__(self) -> None:
        share = 1.0 if self.gpus_per_worker is None else self.gpus_per_worker
        if share > 1:
            raise ValueError(
                f"gpus_per_worker {share:g}: a worker trains on one GPU; for more GPUs ask for "
                "more workers"
            )
        if 0 < share < 1 < self.workers:
            raise ValueError(
                f"gpus_per_worker {share:g} with {self.workers} workers: two workers of a trial "
                "could share a GPU, which NCCL refuses; a part of a GPU is for trials of one worker"
            )
        if self.accelerator_type is not None and not share:
            raise ValueError(
                f"accelerator_type {self.accelerator_type} with gpus_per_worker 0: no GPU is used; "
                "remove one of them"
            )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a study may spend, over all its sessions; None: as much as it takes. It ends gracefully
    at the first limit it reaches: running trials keep their checkpoints, and a higher limit lets
    it go on.

    `max_hours` counts the hours in which a driver ran, `max_gpu_hours` those that trials held GPUs,
    each GPU by itself; `max_cost` is in the currency of `gpu_hour_price`, the price of one of them.
    ValueError for a cost without a price.
    """

    max_hours: Amount | None = None
    max_gpu_hours: Amount | None = None
    max_cost: Amount | None = None
    gpu_hour_price: Amount | None = None

    def __post_init__(self) -> None:
        if self.max_cost is not None and self.gpu_hour_price is None:
            raise ValueError(
                f"max_cost {self.max_cost:g} needs a price: add gpu_hour_price, what an hour of "
                "one GPU costs, in the same currency"
            )


@dataclass(frozen=True, kw_only=True)
class Keep:
    """Which checkpoints stay: those of the `best` finished configurations, trial 0's, and whatever
    can still be resumed. The rest goes as soon as nothing needs it (study.retention).
    """

    best: Annotated[int, Ge(1)] = 3


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a promoted study's trial comes from: the study (folder or URL), the trial's number, the
    digest of its configuration, and how many kimg of its training are continued (0: it begins
    anew).
    """

    study: str
    trial: Annotated[int, Ge(0)]
    digest: str
    kimg: Annotated[int, Ge(0)] = 0


def _read_origin(value: Any) -> tuple[Origin | None, list[Problem]]:
    return (None, []) if value is None else read(Origin, value)


def _read_name(value: Any) -> tuple[str, list[Problem]]:
    """The study's name: it becomes a folder."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", value):
        return value, []
    message = (
        f"got {shown(value)}; expected 1 to 64 letters, digits, '.', '_', '-', "
        f"not starting with '.' or '-'{_like_name(value)}"
    )
    return "", [Problem((), message)]


def _like_name(value: Any) -> str:
    """What could be meant by a name that cannot be one, ready to end a message."""
    if isinstance(value, int | float):
        return "; put it in quotes"
    near = re.sub(r"[^A-Za-z0-9._-]+", "-", str(value)).strip(".-")[:64]
    return f"; such as {near}" if near else ""


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
    problems = [p for i, entry in enumerate(value) for p in _prior_problems(i, entry)]
    return tuple(dict(entry) for entry in value), problems


def _prior_problems(place: int, entry: Mapping[str, Any]) -> list[Problem]:
    """Whether an entry that names an older study names nothing else."""
    if PRIOR not in entry:
        return []
    if not isinstance(entry[PRIOR], str) or not entry[PRIOR]:
        message = f"got {shown(entry[PRIOR])}; expected the folder or URL of an older study"
        return [Problem((place, PRIOR), message)]
    if len(entry) > 1:
        message = "stands alone: its trials are results, not configurations to begin with"
        return [Problem((place, PRIOR), message, at_key=True)]
    return []


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
    limits: Limits = Limits()
    keep: Keep = Keep()
    origin: Annotated[Origin | None, ReadBy(_read_origin, ORIGIN)] = None

    @property
    def starts(self) -> tuple[dict[str, Any], ...]:
        """The configurations to begin with, as written: values on some axes."""
        return tuple(entry for entry in self.warm_start if PRIOR not in entry)

    @property
    def priors(self) -> tuple[str, ...]:
        """The older studies whose results the sampler is told first."""
        return tuple(entry[PRIOR] for entry in self.warm_start if PRIOR in entry)

    @property
    def total(self) -> int:
        """How many trials it runs: the configurations, and the further seeds of trial 0."""
        return self.trials + self.replicates - 1

    @cached_property
    def rungs(self) -> tuple[int, ...]:
        """The budgets (kimg) at which trials are judged; the last is the full one."""
        return ladder(self.stopping, self.trial["budget_kimg"])

    @cached_property
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
    if spec and len(spec.starts) > spec.trials:
        message = f"got {len(spec.starts)} entries; expected at most trials {spec.trials}"
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
