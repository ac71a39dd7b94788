"""Study folder -> StudyView: the only part of the report that reads a study. It works on any
prefix of a log.
"""

from collections.abc import Iterable, Sequence

from ictsweep.records import Event, trials
from ictsweep.report.history import History, history
from ictsweep.report.passports import survey
from ictsweep.report.trialviews import trial_view
from ictsweep.report.view import Step, StudyView, TrialView, tried
from ictsweep.study.changes import recorded
from ictsweep.study.noise import Comparison, SeedNoise, compare, seed_noise
from ictsweep.study.spec import StudySpec
from ictsweep.study.spending import Meter
from ictsweep.study.store import StudyFolder


def collect(folder: StudyFolder) -> StudyView:
    """Everything the report shows of a study, at the moment of reading."""
    said, events = folder.spec(), folder.events()
    spec = recorded(events) or said  # what ran, whatever study.yaml says since then
    records = trials(events)
    found = survey(records, [axis.path for axis in spec.search], spec.minimize)
    past = history(events)
    views = tuple(
        trial_view(
            record, spec, folder.trial_dir(record.number), past,
            comparable=record.number not in found.unlike,
        )
        for record in records
    )  # fmt: skip
    best, noise, comparison = _verdict(views)
    passport = found.study.get(spec.minimize, {})
    return StudyView(
        spec=spec,
        spec_yaml=(folder.path / "study.yaml").read_text(),
        manifest=folder.manifest(),
        metric=str(passport.get("metric", spec.minimize)),
        passport=passport,
        mixed=tuple(f"trial {number}: {text}" for number, text in found.unlike.items()),
        trials=views,
        steps=_steps(events, views),
        best=best,
        noise=noise,
        comparison=comparison,
        started=events[0].time if events else None,
        updated=events[-1].time if events else None,
        halts=past.halts,
        room=past.room,
        priors=past.priors,
        gpus=_gpus(spec, past),
        spent=Meter(events).spent(),
    )


def _gpus(spec: StudySpec, past: History) -> float:
    """GPUs that a trial has: as its launches say, else as the study asks for; 0 on CPUs."""
    said = [stint.gpus for stints in past.stints.values() for stint in stints if stint.gpus]
    if said:
        return max(said)
    return spec.resources.workers * (spec.resources.gpus_per_worker or 0.0)


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


def _steps(events: Sequence[Event], views: Iterable[TrialView]) -> tuple[Step, ...]:
    """The trials that reached the budget, in order of the log, against all that the study had
    spent when they did.
    """
    finals = {v.number: v.final for v in views if v.final is not None and v.comparable}
    reached: dict[tuple[int, int], tuple[int, float]] = {}
    kimg, seconds, ended, steps = 0, 0.0, 0, {}
    for event in events:
        if event.kind == "verdict":
            ended += event.data["action"] != "continue"
        if event.kind != "measure" or event.trial is None:
            continue
        run, trained = (event.trial, event.data["run_kimg"]), float(event.data["train_s"])
        before, before_s = reached.get(run, (0, 0.0))
        kimg += max(0, event.data["kimg"] - before)
        seconds += max(0.0, trained - before_s) + event.data["evaluate_s"]
        reached[run] = max(event.data["kimg"], before), max(trained, before_s)
        final = finals.get(event.trial)
        if final is not None:
            steps[event.trial] = Step(
                trial=event.trial, spent_kimg=kimg, scored=final, spent_s=seconds,
                clock_s=event.time - events[0].time, ended=ended + 1,
            )  # fmt: skip
    return tuple(sorted(steps.values(), key=lambda step: step.spent_kimg))
