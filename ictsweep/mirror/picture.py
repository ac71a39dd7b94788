"""What Optuna is shown of a trial: a pure function of its record."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from ictsweep.records import Measurement, State, TrialRecord
from ictsweep.study.spec import StudySpec

STATES = {
    State.RUNNING: TrialState.RUNNING,
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.FAILED: TrialState.FAIL,
}


def picture(
    spec: StudySpec, distributions: Mapping[str, BaseDistribution], record: TrialRecord
) -> FrozenTrial:
    """The trial under its own number, with steps in kimg: its values at the rungs, and, as Optuna's
    own `tell` does, the last of them as the value of a pruned trial.

    `distributions` are those of the spec's axes. Times are local, as everywhere in Optuna.
    """
    among = {path: distributions[path] for path in record.params}
    values = {kimg: float(m.values[spec.minimize]) for kimg, m in _rungs(spec, record).items()}
    return FrozenTrial(
        number=record.number,
        state=STATES[record.state],
        value=_value(record.state, values),
        datetime_start=_moment(record.launches[0].time if record.launches else record.asked),
        datetime_complete=None if record.ended is None else _moment(record.ended),
        params={path: _plain(among[path], value) for path, value in record.params.items()},
        distributions=among,
        user_attrs=_attributes(spec, record),
        system_attrs={},
        intermediate_values=values,
        trial_id=-1,  # the database's business
    )


def _plain(among: BaseDistribution, value: Any) -> Any:
    """A parameter as Optuna gives it back: 0 on an axis of floats is 0.0."""
    return among.to_external_repr(among.to_internal_repr(value))


def content(trial: FrozenTrial) -> str:
    """All that a picture shows, as one text: equal texts, equal pictures (database ids and Optuna's
    own attributes apart).
    """
    parts = (trial.params, trial.distributions, trial.user_attrs, trial.intermediate_values)
    return repr(
        (
            trial.number, trial.state, trial.values, trial.datetime_start, trial.datetime_complete,
            [sorted(part.items()) for part in parts],
        )
    )  # fmt: skip


def _rungs(spec: StudySpec, record: TrialRecord) -> dict[int, Measurement]:
    """What counts at each rung that the trial has reached."""
    found = {kimg: record.at_rung(kimg, short_run=spec.short_run) for kimg in spec.rungs}
    return {kimg: measurement for kimg, measurement in found.items() if measurement}


def _value(state: State, values: Mapping[int, float]) -> float | None:
    if state not in (State.COMPLETE, State.PRUNED) or not values:
        return None
    last = values[max(values)]
    return None if math.isnan(last) else last


def _attributes(spec: StudySpec, record: TrialRecord) -> dict[str, Any]:
    """What the trial's page says beside its parameters and values; nothing that is not known."""
    known = {
        "trial": record.number,
        "seed": str(record.seed),  # JavaScript has no integers of 64 bits
        "replicate_of": record.replicate_of,
        "reason": record.reason or None,
        "launches": len(record.launches),
        "failure": _failure(record),
    }
    last = [_measured(spec, m) for m in record.measurements[-1:]]
    return {
        key: value for part in (known, *last) for key, value in part.items() if value is not None
    }


def _measured(spec: StudySpec, last: Measurement) -> dict[str, Any]:
    others = {key: _json(value) for key, value in last.values.items() if key != spec.minimize}
    return {
        "kimg": last.kimg,
        "run_kimg": last.run_kimg,
        "levels": last.levels,
        "passport": in_short(last.passports.get(spec.minimize, {})),
        f"{spec.minimize}_error": _json(last.errors.get(spec.minimize)),
        **others,
    }


def _json(value: float | None) -> float | str | None:
    """JSON has no NaN, and a browser stops at one."""
    return value if value is None or math.isfinite(value) else str(value)


def _failure(record: TrialRecord) -> str | None:
    return f"{record.failures[-1].kind}: {record.failures[-1].message}" if record.failures else None


def in_short(passport: Mapping[str, Any]) -> str:
    """What a number is, for people: "FID, 10000 images, 1 step, inception-v3"."""
    steps = passport.get("steps")
    parts = [
        passport.get("metric"),
        f"{passport['images']} images" if "images" in passport else None,
        f"{steps} step{'s' * (steps != 1)}" if steps else None,
        passport.get("extractor"),
    ]
    return ", ".join(str(part) for part in parts if part)


def _moment(time: float) -> datetime:
    return datetime.fromtimestamp(time)
