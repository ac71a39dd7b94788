"""Several studies in one picture: a colour and a dash each."""

from collections.abc import Sequence

import plotly.graph_objects as go

from ictsweep.report.figures.edf import Edf, steps
from ictsweep.report.figures.progress import ProgressInfo
from ictsweep.report.theme import LIGHT, figure, log_axis, plain, wide

COLOURS = ("accent", "stopped", "running", "diverged", "failed", "muted")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def style(place: int) -> dict[str, str | float]:
    """The line of study number `place` (from 0)."""
    return {
        "color": LIGHT[COLOURS[place % len(COLOURS)]], "dash": DASHES[place % len(DASHES)],
        "width": 2,
    }  # fmt: skip


def draw_edfs(metric: str, names: Sequence[str], edfs: Sequence[Edf | None]) -> go.Figure:
    """The distribution of each study's configurations at one common budget."""
    fig = figure(380)
    for i, (name, edf) in enumerate(zip(names, edfs, strict=True)):
        if edf is not None and edf.values:
            xs, ys = steps(edf.values)
            fig.add_trace(
                go.Scatter(
                    x=xs, y=ys, mode="lines", name=f"{plain(name)} ({len(edf.values):,})",
                    line={"shape": "hv", **style(i)},
                    hovertemplate="%{y:.0%} at or below %{x:.4g}<extra></extra>",
                )
            )  # fmt: skip
    fig.update_yaxes(title_text="share of configurations", tickformat=".0%", range=[0, 1.02])
    fig.update_xaxes(title_text=plain(metric))
    values = [v for edf in edfs if edf and edf.values for v in (edf.values[0], edf.values[-1])]
    if wide(values):
        fig.update_xaxes(**log_axis(values))
    return fig


def draw_costs(metric: str, names: Sequence[str], infos: Sequence[ProgressInfo]) -> go.Figure:
    """Best so far over hours, a staircase per study."""
    fig = figure(380)
    values = []
    for i, (name, info) in enumerate(zip(names, infos, strict=True)):
        if info.best:
            xs, ys = [x for x, _ in info.best], [y for _, y in info.best]
            values += ys
            fig.add_trace(
                go.Scatter(
                    x=[*xs, max(info.end, xs[-1])], y=[*ys, ys[-1]], mode="lines+markers",
                    name=plain(name), line={"shape": "hv", **style(i)}, marker={"size": 6},
                    hovertemplate="%{y:.4g} after %{x:.3~g} hours<extra></extra>",
                )
            )  # fmt: skip
    unit = infos[0].spending.axis if infos else "hours"
    fig.update_xaxes(title_text=unit, rangemode="tozero")
    fig.update_yaxes(title_text=plain(metric))
    if wide(values):
        fig.update_yaxes(**log_axis(values))
    return fig
