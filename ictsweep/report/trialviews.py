"""A trial's record -> TrialView."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ictsweep.records import Measurement, State, TrialRecord
from ictsweep.report.history import History, clean
from ictsweep.report.passports import BELOW
from ictsweep.report.view import Point, Run, Scored, Sheet, TrialView
from ictsweep.study.axes import chooses_part
from ictsweep.study.spec import StudySpec


def trial_view(
    record: TrialRecord, spec: StudySpec, folder: Path, past: History, *, comparable: bool
) -> TrialView:
    """What the report shows of a trial whose files are in `folder`."""
    runs = _runs(record.measurements)
    last = record.at_rung(spec.rungs[-1], short_run=spec.short_run)
    final = _scores(last) if last and record.state == State.COMPLETE else {}
    picture = next((m for m in reversed(record.measurements) if m.samples), None)
    number = record.number
    return TrialView(
        number=number,
        replicate_of=record.replicate_of,
        seed=record.seed,
        state=record.state,
        params=record.params,
        runs=_curves(runs, spec.minimize),
        at_rung=_at_rungs(record, spec),
        final=final.get(spec.minimize),
        others={key: scored for key, scored in final.items() if key != spec.minimize},
        cards=record.cards,
        reason=clean(record.reason),
        failures=past.failures.get(number, ()),
        retries=past.retries.get(number, ()),
        stints=past.stints.get(number, ()),
        asked=record.asked,
        kimg=sum(run[-1].kimg for run in runs.values()),
        train_s=sum(run[-1].train_s for run in runs.values()),
        evaluate_s=sum(m.evaluate_s for m in record.measurements),
        sample=folder / str(picture.samples) if picture else None,
        sample_kimg=picture.kimg if picture else 0,
        sheets=tuple(_sheets(runs, folder)),
        valueless=sum(_scored(m, spec.minimize) is None for m in record.measurements),
        comparable=comparable,
        configuration=_configuration(spec, folder),
    )


def _configuration(spec: StudySpec, folder: Path) -> Mapping[str, Any] | None:
    """What the trial's own file says, where a search replaces parts of the trial block."""
    path = folder / "config.yaml"
    if not any(chooses_part(axis.path) for axis in spec.search) or not path.exists():
        return None
    return yaml.safe_load(path.read_text())["trial"]


def _runs(measurements: Iterable[Measurement]) -> dict[int, list[Measurement]]:
    """By length of run, its measurements from first to last."""
    runs: dict[int, list[Measurement]] = defaultdict(list)
    for measurement in sorted(measurements, key=lambda m: (m.run_kimg, m.kimg)):
        runs[measurement.run_kimg].append(measurement)
    return runs


def _sheets(runs: Mapping[int, Iterable[Measurement]], folder: Path) -> Iterable[Sheet]:
    for kimg, run in runs.items():
        for m in run:
            if m.samples:
                yield Sheet(run_kimg=kimg, kimg=m.kimg, folder=folder, name=str(m.samples))


def _scores(measurement: Measurement) -> dict[str, Scored]:
    """The finite values of a measurement with their errors."""
    found = {key: _scored(measurement, key) for key in measurement.values}
    return {key: scored for key, scored in found.items() if scored is not None}


def _scored(measurement: Measurement, key: str) -> Scored | None:
    """One value with its error (None where that is not finite); None where the value is missing or
    not finite.
    """
    value, error = measurement.values.get(key), measurement.errors.get(key)
    if value is None or not math.isfinite(value):
        return None
    if error is not None and not math.isfinite(error):
        error = None
    return Scored(value=value, error=error, below=BELOW in measurement.passports.get(key, {}))


def _curves(runs: Mapping[int, Sequence[Measurement]], key: str) -> tuple[Run, ...]:
    curves = (
        Run(run_kimg=kimg, points=tuple(_points(run, key)), spectrum=run[-1].spectrum)
        for kimg, run in runs.items()
    )
    return tuple(curve for curve in curves if curve.points)


def _points(run: Iterable[Measurement], key: str) -> Iterable[Point]:
    trained = 0.0
    for m in run:
        seconds = max(0.0, m.train_s - trained) + m.evaluate_s
        trained = m.train_s
        scored = _scored(m, key)
        if scored is not None:
            yield Point(
                kimg=m.kimg, scored=scored, levels=m.levels, stage=m.stage, loss=m.loss,
                grad_norm=m.grad_norm, seconds=seconds,
            )  # fmt: skip


def _at_rungs(record: TrialRecord, spec: StudySpec) -> dict[int, Scored]:
    found = {rung: record.at_rung(rung, short_run=spec.short_run) for rung in spec.rungs}
    scores = {r: _scored(m, spec.minimize) for r, m in found.items() if m is not None}
    return {rung: scored for rung, scored in scores.items() if scored is not None}
