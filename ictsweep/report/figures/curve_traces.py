"""The learning curves drawn: a panel per length of run, a trace per panel and state."""

from collections import defaultdict
from collections.abc import Iterable

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ictsweep.report.figures.curves import Curve, CurvesInfo
from ictsweep.report.theme import DASHES, LIGHT, MARKS, figure, log_axis, plain, wide

MANY_POINTS = 2000  # beyond this, plotly draws on the graphics card


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
        _draw_spreads(fig, info, length, column, legend)
        _draw_bands(fig, info, length, column, legend)
        _draw_states(fig, info, length, column, legend)
        _draw_axis(fig, info, length, column)
    fig.update_annotations(font={"size": 12, "color": LIGHT["muted"]}, yshift=2)
    fig.update_yaxes(title_text=plain(info.metric), col=1)
    fig.update_layout(legend={"y": 1.09}, margin={"t": 76})
    values = list(_extent(info))
    if wide(values):
        fig.update_yaxes(**log_axis(values))
    return fig


def _extent(info: CurvesInfo) -> Iterable[float]:
    """Values that the axis has to hold."""
    for curve in info.curves:
        yield from curve.values
    for spread in info.spreads:
        yield from (v for quantiles in spread.quantiles for v in (quantiles[0], quantiles[-1]))
    for band in info.bands:
        for mean, sd in zip(band.mean, band.sd, strict=True):
            yield from (max(mean - sd, mean - 0.5 * abs(mean)), mean + sd)


def _draw_spreads(
    fig: go.Figure, info: CurvesInfo, length: int, column: int, legend: set[str]
) -> None:
    for spread in (s for s in info.spreads if s.run_kimg == length):
        levels = list(zip(*spread.quantiles, strict=True))
        ranges = ((0, 4, "ramp0", "5–95 % of those in training"), (1, 3, "ramp1", "25–75 %"))
        for low, high, color, name in ranges:
            shape = go.Scatter(
                x=[*spread.kimg, *spread.kimg[::-1]], y=[*levels[high], *levels[low][::-1]],
                fill="toself", mode="lines", fillcolor=LIGHT[color], hoverinfo="skip", opacity=0.5,
                line={"width": 3, "color": LIGHT[color]}, name=name, legendgroup=name,
                showlegend=name not in legend,
            )  # fmt: skip
            legend.add(name)
            fig.add_trace(shape, row=1, col=column)
        middle = go.Scatter(
            x=spread.kimg, y=levels[2], mode="lines", name="median", legendgroup="median",
            showlegend="median" not in legend, line={"color": LIGHT["ramp3"], "width": 2},
            text=[f"median of {n:,} trials still in training" for n in spread.alive],
            hovertemplate="%{text}<br>%{y:.4g} at %{x} kimg<extra></extra>",
        )  # fmt: skip
        legend.add("median")
        fig.add_trace(middle, row=1, col=column)


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
        low = [  # no log of 0
            max(m - s, m - 0.99 * abs(m)) for m, s in zip(band.mean, band.sd, strict=True)
        ]
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
                customdata=_broken((c.trial,) * len(c.kimg) for c in curves),
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
            customdata=[c.trial for c in marked],
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
