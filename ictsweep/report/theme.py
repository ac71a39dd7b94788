"""One palette for the page and its figures, light and dark, and the look that all figures share.

Figures are drawn in the light colours; in dark mode the page replaces each light colour by its
dark partner, so every colour below must be distinct. States differ in colour, dash and mark
(Okabe & Ito's hues, darkened until they stand out from the paper).
"""

import math
from collections.abc import Collection
from html import escape
from typing import Any

import plotly.graph_objects as go

from ictsweep.report.format import tick

# name: (light, dark)
PALETTE = {
    "paper": ("#fdfdfb", "#15171a"),
    "raised": ("#f5f5f0", "#1d2024"),
    "ink": ("#1c2024", "#e8e7e2"),
    "muted": ("#5d656e", "#a0a7af"),
    "rule": ("#e2e1da", "#30343a"),
    "band": ("#e9e8e3", "#2a2e34"),
    "accent": ("#0b5394", "#7cbcec"),
    "worst": ("#c9bfa8", "#6a6252"),
    "complete": ("#2b7bba", "#5aa9e0"),
    "stopped": ("#b9770e", "#dba343"),
    "diverged": ("#a12a6e", "#e07ab5"),
    "failed": ("#8f2d2d", "#ea8078"),
    "running": ("#1b8a66", "#4fc79e"),
    "ramp0": ("#c3d3e0", "#3a4b5c"),
    "ramp1": ("#93b4d1", "#4c6f91"),
    "ramp2": ("#5c91c0", "#6596c4"),
    "ramp3": ("#2f6ba5", "#8fc0ea"),
    "ramp4": ("#08407a", "#d3eafd"),
}
LIGHT = {name: light for name, (light, _) in PALETTE.items()}
DARK_OF = {light: dark for light, dark in PALETTE.values()}

DASHES = {
    "complete": "solid", "stopped": "dash", "diverged": "dot", "failed": "dot", "running": "dashdot"
}  # fmt: skip
MARKS = {
    "complete": "circle", "stopped": "x-thin", "diverged": "asterisk", "failed": "cross-thin",
    "running": "circle-open",
}  # fmt: skip

SANS = '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "Liberation Sans", sans-serif'


def shade(place: int, of: int) -> int:
    """Which step of the ramp stands for budget number `place` (from 0) of `of`: the darker, the
    longer the run.
    """
    return 4 if of < 2 else 1 + round(3 * place / (of - 1))


def plain(text: str) -> str:
    """Text for a figure, where plotly would otherwise read tags."""
    return escape(text, quote=False)


def figure(height: int) -> go.Figure:
    """An empty figure in the shared look."""
    axis = {
        "gridcolor": LIGHT["rule"], "linecolor": LIGHT["muted"], "zeroline": False,
        "automargin": True, "tickfont": {"color": LIGHT["muted"], "size": 12},
        "title": {"font": {"size": 13, "color": LIGHT["muted"]}, "standoff": 8},
    }  # fmt: skip
    error = {"thickness": 1, "width": 0}
    trace = {"hovertemplate": "%{text}<extra></extra>", "error_x": error, "error_y": error}
    look = go.layout.Template(
        data={"scatter": [trace], "scattergl": [trace]},
        layout={
            "font": {"family": SANS, "size": 13, "color": LIGHT["ink"]},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 56, "r": 16, "t": 28, "b": 48},
            "xaxis": axis,
            "yaxis": axis,
            "hovermode": "closest",
            "modebar": {
                "bgcolor": "rgba(0,0,0,0)", "color": LIGHT["muted"], "activecolor": LIGHT["ink"]
            },
            "hoverlabel": {
                "bgcolor": LIGHT["raised"], "bordercolor": LIGHT["muted"], "align": "left",
                "font": {"color": LIGHT["ink"], "size": 12},
            },
            "legend": {
                "orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom",
                "font": {"size": 12}, "bgcolor": "rgba(0,0,0,0)",
            },
        }
    )  # fmt: skip
    return go.Figure(layout={"template": look, "height": height})


def wide(values: Collection[float]) -> bool:
    """Whether positive values span so much that a logarithmic axis reads better."""
    return bool(values) and min(values) > 0 and max(values) > 4 * min(values)


def log_marks(low: float, high: float, most: int = 7) -> list[float]:
    """Round numbers strictly within [low, high]: 1, 2, 5 of each decade, or fewer where those
    were more than `most`.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        marks = [m * 10.0**d for d in decades for m in steps]
        inside = [m for m in marks if low < m < high]
        if len(inside) <= most:
            return inside
    return inside[:: math.ceil(len(inside) / most)]


def log_axis(values: Collection[float], most: int = 7) -> dict[str, Any]:
    """An axis for positive values, its ticks written out in full."""
    low, high = min(values) / 1.15, max(values) * 1.15
    marks = log_marks(low, high, most)
    return {
        "type": "log", "tickvals": marks, "ticktext": [tick(m) for m in marks],
        "range": [math.log10(low), math.log10(high)],
    }  # fmt: skip
