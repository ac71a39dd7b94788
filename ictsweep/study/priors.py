"""What an older study knows that a new one may be told: only what it would have measured itself.

A result counts when the new study, given the same values on its axes, would train the very same
configuration and measure it in the same way, at a rung of its own. It is told to the sampler as a
`prior` fact before the first suggestion; it is no trial of the new study, and ranks in no rung.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ictsweep.config import ConfigError, TrialConfig
from ictsweep.errors import StudyError, UserError
from ictsweep.problems import Problem
from ictsweep.records import State, TrialRecord
from ictsweep.study.axes import flattened, substituted
from ictsweep.study.configurations import configured, value_at
from ictsweep.study.spec import PRIOR, StudySpec
from ictsweep.study.store import StudyFolder

# What a value does not depend on: its length is its rung, where data lie is told by their contents.
_APART = ("budget_kimg", "evaluate.every_kimg", "evaluate.grid", "data.path", "post_hoc.")
_SAID = 2  # differences that are named


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What an older study gives: the data of `prior` facts, and why other trials give nothing."""

    study: str
    facts: tuple[Mapping[str, Any], ...]
    left_out: Mapping[int, str]

    def __str__(self) -> str:
        count = len(self.facts) + len(self.left_out)
        text = f"warm start: {len(self.facts)} of {count} results of {self.study}"
        reasons = Counter(self.left_out.values())
        return "; ".join([text, *(f"{n} not: {why}" for why, n in reasons.most_common())])


def prior(spec: StudySpec, place: str) -> Prior:
    """What the study at `place` gives to a study of `spec`. StudyError if there is none."""
    folder = StudyFolder.open(place)
    theirs = folder.spec()
    facts, left_out = [], {}
    for record in folder.trials():
        found = _matched(spec, theirs, record)
        if isinstance(found, str):
            left_out[record.number] = found
        else:
            facts.append({"study": folder.place, "trial": record.number, **found})
    return Prior(study=folder.place, facts=tuple(facts), left_out=left_out)


def prior_problems(spec: StudySpec) -> Iterator[Problem]:
    """The older studies that cannot be read, by their places in the file."""
    for i, entry in enumerate(spec.warm_start):
        if PRIOR not in entry:
            continue
        try:
            prior(spec, entry[PRIOR])
        except UserError as error:
            yield Problem(("warm_start", i, PRIOR), str(error))


def with_places(spec: StudySpec) -> tuple[dict[str, Any], ...]:
    """The warm starts with the older studies' paths made absolute."""

    def absolute(place: str) -> str:
        return place if "://" in place else str(Path(place).absolute())

    return tuple({PRIOR: absolute(e[PRIOR])} if PRIOR in e else e for e in spec.warm_start)


def same_yardstick(place: str, measure: Mapping[str, str]) -> None:
    """StudyError if the study at `place` learnt from, or was measured with, other contents."""
    if (event := StudyFolder.open(place).opening()) is None:
        return
    other = [name for name in ("data", "extractor") if event.data.get(name) != measure[name]]
    if other:
        raise StudyError(
            f"{place}: the {' and the '.join(other)} of this study are others than those of "
            "the new one: its results cannot be compared. Take it out of warm_start."
        )


def _matched(spec: StudySpec, theirs: StudySpec, record: TrialRecord) -> dict[str, Any] | str:
    """What a trial gives, or why nothing."""
    if record.replicate_of is not None:
        return "further seeds of trial 0"
    if record.state not in (State.COMPLETE, State.PRUNED):
        return f"{record.state} trials"
    if spec.seed != theirs.seed:
        return f"seed {theirs.seed} there, {spec.seed} here: other samples are measured"
    if spec.short_run != theirs.short_run:
        return "its rungs are another kind of run (stopping.fidelity)"
    params = _params(spec, theirs, record)
    if isinstance(params, str):
        return params
    values = _values(spec, record)
    if not values:
        return f"no {spec.minimize} at a rung of this study"
    ended = record.state == State.COMPLETE and str(spec.rungs[-1]) in values
    return {
        "params": params, "values": values,
        "state": str(State.COMPLETE if ended else State.PRUNED),
    }  # fmt: skip


def _values(spec: StudySpec, record: TrialRecord) -> dict[str, float]:
    """The value minimised at each of the new study's rungs. A point of one long run counts only
    where the run is as long as the new ones.
    """
    found = {}
    for rung in spec.rungs:
        measured = record.at_rung(rung, short_run=spec.short_run)
        if measured is None or spec.minimize not in measured.values:
            continue
        if spec.short_run or measured.run_kimg == spec.rungs[-1]:
            found[str(rung)] = measured.values[spec.minimize]
    return found


def _params(spec: StudySpec, theirs: StudySpec, record: TrialRecord) -> dict[str, Any] | str:
    """The trial's values on the new study's axes, or why it is no trial of it."""
    block = substituted(theirs.trial, record.params)
    config = configured(theirs.trial, record.params)
    params: dict[str, Any] = {}
    for axis in spec.search:
        if not axis.active(params):
            continue
        try:
            value = value_at(block, config, axis.path)
        except (AttributeError, KeyError):
            return f"no {axis.path}"
        if not axis.holds(value):
            return f"{axis.path} outside {axis}"
        params[axis.path] = value
    try:
        ours = configured(spec.trial, params)
    except ConfigError as error:
        return f"no configuration of this study ({error.problems[0]})"
    return _differences(config, ours) or params


def _differences(theirs: TrialConfig, ours: TrialConfig) -> str:
    there, here = flattened(theirs.to_dict()), flattened(ours.to_dict())
    keys = [key for key in {**there, **here} if there.get(key) != here.get(key)]
    said = [
        f"{key} {there.get(key)} there, {here.get(key)} here"
        for key in keys
        if not key.startswith(_APART)
    ]
    rest = [f"and {len(said) - _SAID} more"] if len(said) > _SAID else []
    return "; ".join([*said[:_SAID], *rest])
