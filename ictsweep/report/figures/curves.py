"""Learning curves: who was stopped, when, and was that fair?

Under short runs every rung is a run of its own, so each length gets its own panel and each curve
begins at its own start; values of different panels stand side by side but are never joined.
Trial 0 and its replicates appear as one band.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ictsweep.records import State
from ictsweep.report.format import scored
from ictsweep.report.theme import DASHES, LIGHT, MARKS, figure, log_axis, plain, wide
from ictsweep.report.view import Run, StudyView, TrialView
from ictsweep.report.words import label, why

MANY_POINTS = 2000  # beyond this, plotly draws on the graphics card


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One run of one trial; `label` is the trial's state in a word, `mark` the text of its end
    where it ended here.
    """

    trial: int
    label: str
    run_kimg: int
    kimg: tuple[int, ...]
    values: tuple[float, ...]
    hover: tuple[str, ...]
    mark: str | None


@dataclass(frozen=True, kw_only=True)
class Band:
    """Trial 0 over its seeds in runs of one length: mean and standard deviation (0 where one
    seed has got) by kimg.
    """

    run_kimg: int
    kimg: tuple[int, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class CurvesInfo:
    """What the picture needs: one panel per entry of `lengths`, rungs as marks on its axis."""

    metric: str
    lengths: tuple[int, ...]
    rungs: tuple[int, ...]
    curves: tuple[Curve, ...]
    bands: tuple[Band, ...]
    seeds: int
    best: int | None


def curves_info(view: StudyView) -> CurvesInfo:
    """The searched trials' curves, and trial 0's band."""
    rungs = view.spec.rungs
    shown = [t for t in view.trials if t.comparable]
    baseline = [t for t in shown if not t.searched and t.runs]
    return CurvesInfo(
        metric=view.metric,
        lengths=rungs if view.spec.short_run else rungs[-1:],
        rungs=rungs,
        curves=tuple(_curve(t, run) for t in shown if t.searched for run in t.runs),
        bands=tuple(_bands(run for t in baseline for run in t.runs)),
        seeds=len(baseline),
        best=view.best,
    )


def _curve(trial: TrialView, run: Run) -> Curve:
    ended = trial.state != State.RUNNING and run is trial.runs[-1]
    return Curve(
        trial=trial.number,
        label=label(trial),
        run_kimg=run.run_kimg,
        kimg=tuple(p.kimg for p in run.points),
        values=tuple(p.scored.value for p in run.points),
        hover=tuple(
            f"trial {trial.number} ({label(trial)})<br>{scored(p.scored)} at {p.kimg:,} of "
            f"{run.run_kimg:,} kimg<br>N = {p.levels}"
            for p in run.points
        ),
        mark=f"trial {trial.number}<br>{_wrapped(why(trial))}" if ended else None,
    )


def _wrapped(text: str) -> str:
    return "<br>".join(plain(part) for part in text[:300].split(", "))


def _bands(runs: Iterable[Run]) -> Iterable[Band]:
    values: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for point in run.points:
            values[run.run_kimg][point.kimg].append(point.scored.value)
    for run_kimg, at in sorted(values.items()):
        kimg = tuple(sorted(at))
        yield Band(
            run_kimg=run_kimg,
            kimg=kimg,
            mean=tuple(float(np.mean(at[k])) for k in kimg),
            sd=tuple(float(np.std(at[k], ddof=1)) if len(at[k]) > 1 else 0.0 for k in kimg),
        )


def draw_curves(info: CurvesInfo) -> go.Figure:
    """One panel per run length, one trace per panel and state."""
    fig = make_subplots(
        rows=1, cols=len(info.lengths), shared_yaxes=True, horizontal_spacing=0.025,
        column_widths=[float(n) ** 0.5 for n in info.lengths],
        subplot_titles=[f"{n:,} kimg" for n in info.lengths] if len(info.lengths) > 1 else None,
        figure=figure(460),
    )  # fmt: skip
    legend: set[str] = set()
    for column, length in enumerate(info.lengths, 1):
        _draw_bands(fig, info, length, column, legend)
        _draw_states(fig, info, length, column, legend)
        _draw_axis(fig, info, length, column)
    fig.update_annotations(font={"size": 12, "color": LIGHT["muted"]}, yshift=2)
    fig.update_yaxes(title_text=plain(info.metric), col=1)
    fig.update_layout(legend={"y": 1.09}, margin={"t": 76})
    values = [v for c in info.curves for v in c.values]
    for band in info.bands:
        values += [max(m - s, 0.5 * m) for m, s in zip(band.mean, band.sd, strict=True)]
        values += [m + s for m, s in zip(band.mean, band.sd, strict=True)]
    if wide(values):
        fig.update_yaxes(**log_axis(values))
    return fig


def _draw_axis(fig: go.Figure, info: CurvesInfo, length: int, column: int) -> None:
    ticks = [0] * (column == 1) + [r for r in info.rungs if r <= length]
    ticks = [r for r in ticks if r in (0, length) or r > 0.08 * length]
    title = "kimg into the run" if column == len(info.lengths) else None
    fig.update_xaxes(
        range=[0, 1.06 * length], tickvals=ticks, title_text=title, showgrid=False, col=column
    )
    for rung in info.rungs if len(info.lengths) == 1 else (length,):
        fig.add_vline(
            x=rung,
            line={"color": LIGHT["muted"], "width": 1, "dash": "dot"},
            opacity=0.45,
            layer="below",
            col=column,  # type: ignore[arg-type]  # plotly's annotation says str, its code int
        )


def _draw_bands(
    fig: go.Figure, info: CurvesInfo, length: int, column: int, legend: set[str]
) -> None:
    for band in info.bands:
        if band.run_kimg != length:
            continue
        low = [max(m - s, 0.01 * m) for m, s in zip(band.mean, band.sd, strict=True)]  # no log of 0
        high = [m + s for m, s in zip(band.mean, band.sd, strict=True)]
        name = f"trial 0, {info.seeds} seeds (mean ± sd)" if info.seeds > 1 else "trial 0"
        shape = go.Scatter(
            x=[*band.kimg, *band.kimg[::-1]], y=[*high, *low[::-1]], fill="toself", mode="lines",
            fillcolor=LIGHT["band"], line={"width": 6, "color": LIGHT["band"]}, hoverinfo="skip",
            showlegend=False, legendgroup="baseline",
        )  # fmt: skip
        line = go.Scatter(
            x=band.kimg, y=band.mean, mode="lines+markers", name=name, legendgroup="baseline",
            showlegend="baseline" not in legend,
            line={"color": LIGHT["ink"], "width": 1.5}, marker={"size": 4, "color": LIGHT["ink"]},
            hovertemplate="trial 0 over its seeds<br>%{y:.4g} at %{x} kimg<extra></extra>",
        )  # fmt: skip
        legend.add("baseline")
        fig.add_traces([shape, line], rows=1, cols=column)


def _draw_states(
    fig: go.Figure, info: CurvesInfo, length: int, column: int, legend: set[str]
) -> None:
    groups: dict[tuple[str, bool], list[Curve]] = defaultdict(list)
    for curve in info.curves:
        if curve.run_kimg == length:
            groups[curve.label, curve.trial == info.best].append(curve)
    kind = go.Scattergl if sum(len(c.kimg) for c in info.curves) > MANY_POINTS else go.Scatter
    for (state, best), curves in sorted(groups.items(), key=lambda item: item[0][1]):
        name = f"best: trial {info.best}" if best else state
        color = LIGHT["accent"] if best else LIGHT[state]
        fig.add_trace(
            kind(
                x=_broken(c.kimg for c in curves), y=_broken(c.values for c in curves),
                text=_broken(c.hover for c in curves), name=name, legendgroup=name,
                showlegend=name not in legend, mode="lines+markers",
                line={"color": color, "width": 3 if best else 1.4, "dash": DASHES[state]},
                marker={"size": 6 if best else 3.5, "color": color},
            ),
            row=1, col=column,
        )  # fmt: skip
        legend.add(name)
        _draw_marks(fig, curves, state, color, name, column)


def _draw_marks(
    fig: go.Figure, curves: list[Curve], state: str, color: str, name: str, column: int
) -> None:
    marked = [c for c in curves if c.mark is not None]
    if not marked:
        return
    fig.add_trace(
        go.Scatter(
            x=[c.kimg[-1] for c in marked], y=[c.values[-1] for c in marked], mode="markers",
            text=[c.mark for c in marked], legendgroup=name, showlegend=False, name=name,
            marker={
                "symbol": MARKS[state], "size": 9, "color": color,
                "line": {"color": color, "width": 2},
            },
        ),
        row=1, col=column,
    )  # fmt: skip


def _broken(parts: Iterable[tuple]) -> list:
    """Many lines in one trace: their points, with a gap after each."""
    return [value for part in parts for value in (*part, None)]
