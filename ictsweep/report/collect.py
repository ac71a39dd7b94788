"""Study folder -> StudyView: the only part of the report that reads a study. It works on any
prefix of a log.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ictsweep.records import Event, Measurement, State, TrialRecord, trials
from ictsweep.report.passports import reference, unlike
from ictsweep.report.view import Point, Run, Scored, Step, StudyView, TrialView, tried
from ictsweep.study.axes import chooses_part
from ictsweep.study.noise import Comparison, SeedNoise, compare, seed_noise
from ictsweep.study.spec import StudySpec
from ictsweep.study.store import StudyFolder


def collect(folder: StudyFolder) -> StudyView:
    """Everything the report shows of a study, at the moment of reading."""
    spec, events = folder.spec(), folder.events()
    records = trials(events)
    wrong = unlike(records, [axis.path for axis in spec.search])
    failures = _failures(events)
    views = tuple(
        _trial(
            record, spec, folder.trial_dir(record.number),
            failures=tuple(failures[record.number]), comparable=record.number not in wrong,
        )
        for record in records
    )  # fmt: skip
    best, noise, comparison = _verdict(views)
    passport = reference(records, spec.minimize)
    return StudyView(
        spec=spec,
        spec_yaml=(folder.path / "study.yaml").read_text(),
        manifest=folder.manifest(),
        metric=str(passport.get("metric", spec.minimize)),
        passport=passport,
        mixed=tuple(f"trial {number}: {text}" for number, text in wrong.items()),
        trials=views,
        steps=_steps(events, views),
        best=best,
        noise=noise,
        comparison=comparison,
        started=events[0].time if events else None,
        updated=events[-1].time if events else None,
    )


def _failures(events: Iterable[Event]) -> dict[int, list[str]]:
    """By trial, what its failed launches said: "kind: message"."""
    found: dict[int, list[str]] = defaultdict(list)
    for event in events:
        if event.kind == "fail" and event.trial is not None:
            text = f"{event.data.get('kind', 'failed')}: {event.data.get('message', '')}"
            found[event.trial].append(_clean(text))
    return found


def _trial(
    record: TrialRecord,
    spec: StudySpec,
    folder: Path,
    *,
    failures: tuple[str, ...],
    comparable: bool,
) -> TrialView:
    runs = _runs(record.measurements)
    last = record.at_rung(spec.rungs[-1], short_run=spec.short_run)
    final = _scores(last) if last and record.state == State.COMPLETE else {}
    picture = next((m for m in reversed(record.measurements) if m.samples), None)
    return TrialView(
        number=record.number,
        replicate_of=record.replicate_of,
        seed=record.seed,
        state=record.state,
        params=record.params,
        runs=_curves(runs, spec.minimize),
        at_rung=_at_rungs(record, spec),
        final=final.get(spec.minimize),
        others={key: scored for key, scored in final.items() if key != spec.minimize},
        cards=record.cards,
        reason=_clean(record.reason),
        failures=failures,
        kimg=sum(run[-1].kimg for run in runs.values()),
        train_s=sum(run[-1].train_s for run in runs.values()),
        evaluate_s=sum(m.evaluate_s for m in record.measurements),
        sample=folder / str(picture.samples) if picture else None,
        sample_kimg=picture.kimg if picture else 0,
        comparable=comparable,
        configuration=_configuration(spec, folder),
    )


def _configuration(spec: StudySpec, folder: Path) -> Mapping[str, Any] | None:
    """What the trial's own file says, where a search replaces parts of the trial block."""
    path = folder / "config.yaml"
    if not any(chooses_part(axis.path) for axis in spec.search) or not path.exists():
        return None
    return yaml.safe_load(path.read_text())["trial"]


def _clean(text: str) -> str:
    """Messages may quote file names that are no text: half a surrogate pair cannot be written."""
    return text.encode("utf-8", "replace").decode()


def _runs(measurements: Iterable[Measurement]) -> dict[int, list[Measurement]]:
    """By length of run, its measurements from first to last."""
    runs: dict[int, list[Measurement]] = defaultdict(list)
    for measurement in sorted(measurements, key=lambda m: (m.run_kimg, m.kimg)):
        runs[measurement.run_kimg].append(measurement)
    return runs


def _scores(measurement: Measurement) -> dict[str, Scored]:
    """The finite values of a measurement with their errors."""
    return {
        key: Scored(value=value, error=measurement.errors.get(key))
        for key, value in measurement.values.items()
        if math.isfinite(value)
    }


def _curves(runs: Mapping[int, Iterable[Measurement]], key: str) -> tuple[Run, ...]:
    curves = (Run(run_kimg=kimg, points=tuple(_points(run, key))) for kimg, run in runs.items())
    return tuple(curve for curve in curves if curve.points)


def _points(run: Iterable[Measurement], key: str) -> Iterable[Point]:
    for measurement in run:
        scored = _scores(measurement).get(key)
        if scored is not None:
            yield Point(kimg=measurement.kimg, scored=scored, levels=measurement.levels)


def _at_rungs(record: TrialRecord, spec: StudySpec) -> dict[int, Scored]:
    found = {rung: record.at_rung(rung, short_run=spec.short_run) for rung in spec.rungs}
    scores = {rung: _scores(m).get(spec.minimize) for rung, m in found.items() if m is not None}
    return {rung: scored for rung, scored in scores.items() if scored is not None}


def _verdict(
    views: Sequence[TrialView],
) -> tuple[int | None, SeedNoise | None, Comparison | None]:
    """The best searched trial, the seed noise of trial 0, and what may be said of the one
    against the other.
    """
    ended = [(v.final.value, v) for v in views if v.final is not None and v.comparable]
    searched = [(value, v.number) for value, v in ended if v.searched]
    seeds = [value for value, v in ended if not v.searched]
    noise = seed_noise(seeds) if seeds else None
    if not searched:
        return None, noise, None
    value, number = min(searched)
    return number, noise, compare(seeds, value, tried(views)) if seeds else None


def _steps(events: Iterable[Event], views: Iterable[TrialView]) -> tuple[Step, ...]:
    """The trials that reached the budget, in order of the log, against all kimg trained so far
    in the study.
    """
    finals = {v.number: v.final for v in views if v.final is not None and v.comparable}
    reached: dict[tuple[int, int], int] = {}
    spent, steps = 0, {}
    for event in events:
        if event.kind != "measure" or event.trial is None:
            continue
        run, kimg = (event.trial, event.data["run_kimg"]), event.data["kimg"]
        spent += max(0, kimg - reached.get(run, 0))
        reached[run] = max(kimg, reached.get(run, 0))
        if event.trial in finals:
            steps[event.trial] = Step(
                trial=event.trial, spent_kimg=spent, scored=finals[event.trial]
            )
    return tuple(sorted(steps.values(), key=lambda step: step.spent_kimg))
