"""The page that compares studies."""

import hashlib
import math
from collections.abc import Sequence

from markupsafe import Markup

from ictsweep.report.compare import ComparisonInfo, Shift
from ictsweep.report.drawings import Drawing
from ictsweep.report.figures.versus import draw_costs, draw_edfs
from ictsweep.report.format import number, tick
from ictsweep.report.glance import Lane, Lanes, Mark
from ictsweep.report.template import dark_of, embedded, page, part
from ictsweep.report.view import StudyView

EMPTY = {"study": "comparison", "trials": [], "points": {"runs": {"t": "i4", "b": ""}}}


def render_comparison(info: ComparisonInfo, plotly: Markup) -> str:
    """The whole page."""
    return page(
        "compare.html.j2",
        title=" · ".join(info.names),
        info=info,
        edf=_edf(info),
        costs=_costs(info),
        reached=_reached(info),
        shifts=[(shift.path, shift_lanes(shift)) for shift in info.shifts if shift.middles],
        plotly=plotly,
        scripts=Markup("\n").join(part(name) for name in ("core.js", "figures.js", "alone.js")),
        dark_of=dark_of(),
        data=embedded(EMPTY),
    )


def folder_name(views: Sequence[StudyView]) -> str:
    """Where the page goes below the reports."""
    names = "-".join(view.spec.study for view in views)
    if len(names) <= 100:
        return f"compare-{names}"
    return f"compare-{names[:90]}-{hashlib.sha256(names.encode()).hexdigest()[:9]}"


def _edf(info: ComparisonInfo) -> Drawing | None:
    if info.rung_kimg is None:
        return None
    survivors = (
        " Only configurations let through to it are counted, and studies may have stopped others."
        if info.survivors
        else ""
    )
    caption = (
        "Is one space simply better? The share of each study's configurations at or below a "
        f"value, all at {info.rung_kimg:,} kimg. A curve further left and up is a better space; "
        f"where they cross, neither is.{survivors}"
    )
    return Drawing(id="edf", figure=draw_edfs(info.metric, info.names, info.edfs), caption=caption)


def _costs(info: ComparisonInfo) -> Drawing | None:
    if not any(progress.best for progress in info.progress):
        return None
    caption = (
        "Which gets there sooner? The best value at the full budget so far, over the hours that "
        "each study spent."
    )
    figure = draw_costs(info.metric, info.names, info.progress)
    return Drawing(id="costs", figure=figure, caption=caption)


def _reached(info: ComparisonInfo) -> list[tuple[str, str]]:
    """What each study spent until it reached what all reached."""
    if info.threshold is None:
        return []
    units = [progress.spending.menu for progress in info.progress]
    return [
        (name, "–" if cost is None else f"{number(cost)} {unit}")
        for name, cost, unit in zip(info.names, info.costs, units, strict=True)
    ]


def shift_lanes(shift: Shift) -> Lanes:
    """A parameter's range with the middle half of each study's best quarter."""
    move = math.log if shift.log else float
    low, high = move(shift.low), move(shift.high)

    def at(value: float) -> float:
        return round(100 * (move(value) - low) / ((high - low) or 1.0), 2)

    return Lanes(
        lanes=tuple(
            Lane(
                name=name,
                marks=(
                    Mark(
                        at=at(middle), low=at(first), high=at(last), kind="tau",
                        text=f"{tick(first)} to {tick(last)}, median {tick(middle)} of the best "
                        f"{of}",
                    ),
                ),
            )
            for name, first, middle, last, of in shift.middles
        ),
        ticks=((0, tick(shift.low)), (100, tick(shift.high))),
    )  # fmt: skip
