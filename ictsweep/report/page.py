"""StudyView -> one HTML page: everything of it but plotly inside, so that it is replaced whole."""

from collections.abc import Iterator

from markupsafe import Markup

from ictsweep.records import State
from ictsweep.report import answers, captions, glance, health, references, reproduce, table, words
from ictsweep.report.data import study_data
from ictsweep.report.drawings import Infos, drawings, infos
from ictsweep.report.figures.curves import curves_info
from ictsweep.report.finals import finals
from ictsweep.report.samples import Picture, encoded, opened, sheets, upper
from ictsweep.report.strips import sheet_size, strips
from ictsweep.report.template import dark_of, embedded, page, scripts
from ictsweep.report.theme import shade
from ictsweep.report.tied import tied_with_best
from ictsweep.report.view import StudyView, TrialView

PICTURES = 4_000_000  # bytes of sample sheets; the best standing trials have theirs
STRIPS = 24  # trials shown through training
STOPS = 200  # cards written out per rung


def render(view: StudyView, plotly: Markup, stamp: str = "") -> str:
    """The whole page. `plotly` is the element that brings the plotting library; `stamp` names this
    state of the study, so that an open page sees when there is a newer one.
    """
    known = infos(view)
    drawn = drawings(view, known)
    size = sheet_size(view.spec.trial["evaluate"])
    trials = view.standing()
    lengths = curves_info(view).lengths
    data = study_data(
        view, sheets(_with_zero(trials), size, PICTURES), strips(trials[:STRIPS], size), lengths
    )
    return page(
        "study.html.j2",
        title=view.spec.study,
        view=view,
        finding=words.finding(view),
        progress=words.progress(view),
        states=table.states(view),
        labels=table.labels(view),
        plan=words.plan(view),
        figures=drawn,
        data=embedded(data),
        leader=(leader := reproduce.leader(view)),
        configuration=reproduce.configuration(view, leader),
        commands=reproduce.commands(view, leader),
        manifest=list(reproduce.facts(view.manifest)),
        passport=list(reproduce.facts(view.passport)),
        bibtex=references.bibtex(view),
        plotly=plotly,
        scripts=scripts(),
        dark_of=dark_of(),
        stamp=stamp,
        **_first_screen(view, known, size),
        **_stopping(view),
        **_search(view),
    )


def _first_screen(view: StudyView, known: Infos, size: int) -> dict:
    tied = tied_with_best(view)
    return {
        "words": words,
        "certainty": answers.certainty(view, tied),
        "tied": tied,
        "finals": finals(view),
        "evidence_lanes": glance.evidence_lanes(known.evidence),
        "bars": glance.importance_bars(known.importance),
        "importance_text": captions.importance(known.importance),
        "mattered": answers.mattered([bar.path for bar in known.importance.bars if bar.stands_out]),
        "stairs": glance.stairs(known.progress[0]),
        "improving": answers.improving(view),
        "trust": answers.trust(known.agreements),
        "survivors": answers.survivors(known.agreements),
        "trust_axis": answers.trust_axis(known.agreements),
        "trust_lanes": glance.trust_lanes(known.agreements),
        "used": health.used(view),
        "failures_text": health.failures(view),
        "facts": list(health.facts(view)),
        "spent": health.spent(view),
        "totals": health.phases(view, known.timeline.totals),
        "heroes": list(_heroes(view, size)),
    }


def _stopping(view: StudyView) -> dict:
    return {
        "stops": list(_stops(view)),
        "most": STOPS,
        "failed": [t for t in view.trials if t.failures and not _told(t)],
    }


def _told(trial: TrialView) -> bool:
    """Whether its only failure, that it diverged, stands among the stops."""
    return words.label(trial) == "diverged" and len(trial.failures) == 1


def _search(view: StudyView) -> dict:
    rungs = view.spec.rungs
    return {
        "shades": [(f"{r:,}", f"ramp{shade(i, len(rungs))}") for i, r in enumerate(rungs)],
        "slices_caption": captions.slices(len(rungs), any(axis.when for axis in view.spec.search)),
    }


def _with_zero(trials: list[TrialView]) -> Iterator[TrialView]:
    """The best standing first, but trial 0, which all are compared with, before them."""
    yield from (t for t in trials if t.number == 0)
    yield from (t for t in trials if t.number != 0)


def _stops(view: StudyView) -> Iterator[tuple[int, int, list[TrialView]]]:
    """(rung, how many it stopped, the closest of them), best value first."""
    stopped = [t for t in view.trials if t.state == State.PRUNED and t.cards]
    for rung in view.spec.rungs:
        here = [t for t in stopped if t.cards[-1].rung_kimg == rung]
        if here:
            yield rung, len(here), sorted(here, key=_stop_value)[:STOPS]


def _stop_value(trial: TrialView) -> float:
    value = trial.cards[-1].value
    return float("inf") if value is None else value


def _heroes(view: StudyView, size: int) -> Iterator[tuple[TrialView, str, Picture]]:
    """The best searched trial (or the furthest so far) and trial 0: the first samples of each,
    from the same noise.
    """
    first = next((t for t in view.standing() if t.searched and t.sample), None)
    best = view.trial(view.best) if view.best is not None else first
    zero = next((t for t in view.trials if t.number == 0), None)
    name = "best searched" if view.best is not None else "furthest so far"
    for trial, what in ((best, name), (zero, "published defaults")):
        image = opened(trial.sample) if trial else None
        if trial and image:
            yield trial, what, encoded(upper(image, size, 2))
