"""StudyView -> one self-contained HTML page."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from ictsweep.records import State
from ictsweep.report import captions, reproduce, table, words
from ictsweep.report.drawings import drawings
from ictsweep.report.format import duration, moment, scored
from ictsweep.report.samples import SMALL, Picture, picture
from ictsweep.report.template import dark_of, page, part
from ictsweep.report.theme import shade
from ictsweep.report.view import StudyView, TrialView

THUMBNAILS = 400  # the best standing trials; more would make the page heavy


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A sample grid with what it shows."""

    trial: int
    text: str
    picture: Picture


def render(view: StudyView) -> str:
    """The whole page."""
    drawn = drawings(view)
    leader, rungs = reproduce.leader(view), view.spec.rungs
    return page(
        "study.html.j2",
        title=view.spec.study,
        view=view,
        finding=words.finding(view),
        progress=words.progress(view),
        states=table.states(view),
        plan=words.plan(view),
        facts=[*_facts(view), ("mattered", drawn.mattered)],
        figures=drawn,
        columns=table.columns(view),
        rows=table.rows(view),
        labels=table.labels(view),
        shades=[(f"{r:,}", f"ramp{shade(i, len(rungs))}") for i, r in enumerate(rungs)],
        slices_caption=captions.slices(len(rungs), any(axis.when for axis in view.spec.search)),
        csv=_csv(view),
        stops=_stops(view),
        failures=[t for t in view.trials if t.state != State.PRUNED and t.failures],
        heroes=list(_heroes(view)),
        thumbnails=list(_thumbnails(view)),
        leader=leader,
        configuration=reproduce.configuration(view, leader),
        commands=reproduce.commands(view, leader),
        manifest=list(reproduce.facts(view.manifest)),
        passport=list(reproduce.facts(view.passport)),
        words=words,
        plotly=Markup(get_plotlyjs()),
        script=part("app.js"),
        dark_of=dark_of(),
    )


def _facts(view: StudyView) -> Iterator[tuple[str, str]]:
    """Short answers beside the result."""
    rungs = ", ".join(f"{rung:,}" for rung in view.spec.rungs)
    way = "each a run of its own" if view.spec.short_run else "points of one run"
    yield "minimised", view.metric
    yield "rungs", f"{rungs} kimg, {way}"
    yield "trained", f"{sum(t.kimg for t in view.trials):,} kimg in all"
    seconds = sum(t.train_s + t.evaluate_s for t in view.trials)
    if view.started is not None and view.updated is not None:
        yield (
            "time",
            f"{duration(view.updated - view.started)} on the clock, {duration(seconds)} of trials",
        )
        yield "last event", moment(view.updated)


def _csv(view: StudyView) -> str:
    text = table.frame(view).to_csv(index=False)
    return "data:text/csv;base64," + base64.b64encode(text.encode("utf-8", "replace")).decode()


def _stops(view: StudyView) -> list[tuple[int, list[TrialView]]]:
    """The stopped trials by the rung that stopped them, best value first."""
    stopped = [t for t in view.trials if t.state == State.PRUNED and t.cards]
    return [
        (rung, sorted((t for t in stopped if t.cards[-1].rung_kimg == rung), key=_stop_value))
        for rung in view.spec.rungs
        if any(t.cards[-1].rung_kimg == rung for t in stopped)
    ]


def _stop_value(trial: TrialView) -> float:
    value = trial.cards[-1].value
    return float("inf") if value is None else value


def _heroes(view: StudyView) -> Iterator[Sample]:
    """The best searched trial (or the furthest so far) and trial 0, large."""
    first = next((t for t in view.standing() if t.searched and t.sample), None)
    best = view.trial(view.best) if view.best is not None else first
    zero = next((t for t in view.trials if t.number == 0), None)
    for trial, name in (
        (best, "best searched" if view.best is not None else "furthest so far"),
        (zero, "published defaults"),
    ):
        found = picture(trial.sample) if trial else None
        if trial and found:
            yield Sample(
                trial=trial.number,
                text=f"trial {trial.number}, {name}: {words.reach(trial)}",
                picture=found,
            )


def _thumbnails(view: StudyView) -> Iterator[Sample]:
    for trial in view.standing()[:THUMBNAILS]:
        found = picture(trial.sample, limit=SMALL)
        if found:
            value = scored(trial.last)
            text = f"{value}, {words.label(trial)} at {trial.sample_kimg:,} kimg"
            yield Sample(trial=trial.number, text=text, picture=found)
