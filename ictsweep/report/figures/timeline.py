"""Where did the hours go: every launch of every trial on the clock, by phase."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import plotly.graph_objects as go

from ictsweep.report.format import duration
from ictsweep.report.theme import LIGHT, figure, plain
from ictsweep.report.view import Stint, StudyView, TrialView

PHASES = {  # of a stint, in the order they are drawn; name: colour
    "start-up": "ramp1",
    "training": "complete",
    "evaluation": "running",
    "waiting": "worst",
    "not told apart": "muted",
}
ENDINGS = {  # of a launch that was cut short: mark, colour
    "preempted": ("triangle-down", "stopped"),
    "lost": ("square", "stopped"),
    "failed": ("x-thin", "failed"),
}
TOLD = {
    "startup_s": "start-up", "train_s": "training", "evaluate_s": "evaluation", "idle_s": "waiting"
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """One phase of one launch: hours since the study's start."""

    trial: int
    phase: str
    start_h: float
    end_h: float


@dataclass(frozen=True, kw_only=True)
class Ending:
    """Where a launch was cut short, and by what kind of failure."""

    trial: int
    at_h: float
    what: str

    @property
    def mark(self) -> str:
        """Which of ENDINGS it is drawn as: its machine was taken, lost, or the trial's own."""
        return self.what if self.what in ENDINGS else "failed"


@dataclass(frozen=True, kw_only=True)
class TimelineInfo:
    """All stretches, all launches that were cut short, and the seconds of each phase in all."""

    stretches: tuple[Stretch, ...]
    endings: tuple[Ending, ...]
    totals: Mapping[str, float]
    hours: float
    room: tuple[tuple[float, int], ...]


def timeline_info(view: StudyView) -> TimelineInfo:
    """What the log says of when processes came and went."""
    start = view.started or 0.0
    stretches = tuple(
        s for t in view.trials for stint in t.stints for s in _phases(t, stint, start)
    )
    totals = dict.fromkeys(PHASES, 0.0)
    for stretch in stretches:
        totals[stretch.phase] += 3600 * (stretch.end_h - stretch.start_h)
    return TimelineInfo(
        stretches=stretches,
        endings=tuple(
            Ending(trial=t.number, at_h=(s.end - start) / 3600, what=s.ending)
            for t in view.trials
            for s in t.stints
            if s.ending not in ("", "running")
        ),
        totals={phase: seconds for phase, seconds in totals.items() if seconds > 0},
        hours=((view.updated or start) - start) / 3600,
        room=tuple(((time - start) / 3600, slots) for time, slots in view.room),
    )


def _phases(trial: TrialView, stint: Stint, start: float) -> Iterator[Stretch]:
    """A stint's phases one after the other; what they do not cover is told apart by nobody."""
    at = (stint.start - start) / 3600
    end = (stint.end - start) / 3600
    told = {TOLD[key]: s for key, s in stint.phases.items() if key in TOLD and s > 0}
    for phase in PHASES:
        if phase in told:
            after = min(end, at + told[phase] / 3600)
            yield Stretch(trial=trial.number, phase=phase, start_h=at, end_h=after)
            at = after
    if end - at > 1 / 3600:
        yield Stretch(trial=trial.number, phase="not told apart", start_h=at, end_h=end)


def draw_timeline(info: TimelineInfo) -> go.Figure:
    """Trials from top to bottom, hours across; one trace per phase."""
    trials = sorted({s.trial for s in info.stretches})
    fig = figure(max(220, min(900, 90 + 14 * len(trials))))
    width = 9 if len(trials) < 60 else max(1.5, 600 / len(trials))
    many = len(info.stretches) > 2000
    kind = go.Scattergl if many else go.Scatter
    hover = {"hovertemplate": "trial %{customdata}<extra></extra>"} if many else {}
    for phase, color in PHASES.items():
        some = [s for s in info.stretches if s.phase == phase]
        if some:
            fig.add_trace(
                kind(
                    x=[v for s in some for v in (s.start_h, s.end_h, None)],
                    y=[v for s in some for v in (s.trial, s.trial, None)], mode="lines",
                    name=phase, line={"color": LIGHT[color], "width": width},
                    customdata=[v for s in some for v in (s.trial, s.trial, None)],
                    text=None if many else [v for s in some for v in (_hover(s), _hover(s), "")],
                    **hover,
                )
            )  # fmt: skip
    _draw_endings(fig, info)
    minutes = info.hours < 2
    fig.update_xaxes(
        title_text=f"{'minutes' if minutes else 'hours'} since the study began", rangemode="tozero"
    )
    if minutes:
        for trace in fig.data:
            trace.x = [None if x is None else 60 * x for x in trace.x]  # type: ignore[union-attr]
    fig.update_yaxes(title_text="trial", autorange="reversed", showgrid=False)
    return fig


def _hover(stretch: Stretch) -> str:
    seconds = 3600 * (stretch.end_h - stretch.start_h)
    return f"trial {stretch.trial}<br>{stretch.phase} {duration(seconds)}"


def _draw_endings(fig: go.Figure, info: TimelineInfo) -> None:
    for name, (symbol, color) in ENDINGS.items():
        some = [e for e in info.endings if e.mark == name]
        if some:
            thin = symbol.endswith("-thin")
            line = {"color": LIGHT[color if thin else "paper"], "width": 2 if thin else 1}
            fig.add_trace(
                go.Scatter(
                    x=[e.at_h for e in some], y=[e.trial for e in some], mode="markers", name=name,
                    customdata=[e.trial for e in some],
                    text=[f"trial {e.trial}<br>{plain(e.what)}" for e in some],
                    marker={"symbol": symbol, "size": 9, "color": LIGHT[color], "line": line},
                )
            )  # fmt: skip
