"""All figures of a page, drawn: each from its info, with its caption; those that show the same in
several ways are the options of one group.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import plotly.io as pio
from markupsafe import Markup

from ictsweep.report import captions
from ictsweep.report.axisnames import short
from ictsweep.report.figures.agreement import Agreement, agreements, draw_agreement
from ictsweep.report.figures.curve_traces import draw_curves
from ictsweep.report.figures.curves import curves_info
from ictsweep.report.figures.edf import draw_edf, edf_info
from ictsweep.report.figures.evidence import EvidenceInfo, draw_evidence, evidence_info
from ictsweep.report.figures.importance import (
    ImportanceInfo,
    draw_importance,
    importance_info,
    importance_infos,
)
from ictsweep.report.figures.maps import draw_map, map_infos
from ictsweep.report.figures.parallel import draw_parallel, parallel_info
from ictsweep.report.figures.pareto import draw_pareto, pareto_infos
from ictsweep.report.figures.progress import ProgressInfo, draw_progress, progress_infos
from ictsweep.report.figures.slices import draw_slice, slice_infos
from ictsweep.report.figures.timeline import TimelineInfo, draw_timeline, timeline_info
from ictsweep.report.template import json_safe
from ictsweep.report.view import StudyView


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure in the page: its element's id, the figure, what it says in words, its height and
    least width in pixels; its name among others, and a short remark to stand beside it.
    """

    id: str
    figure: go.Figure
    caption: str
    width: int = 0
    name: str = ""
    badge: str = ""

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.figure.layout.height)  # type: ignore[union-attr]

    @property
    def selects(self) -> bool:
        """Whether it has points that are trials, of which a reader may select some."""
        return any("markers" in (t.mode or "") and t.customdata is not None for t in self._scatter)

    @property
    def _scatter(self) -> Iterator[Any]:
        return (trace for trace in self.figure.data if trace.type in ("scatter", "scattergl"))

    @property
    def json(self) -> Markup:
        """Plotly's JSON, safe inside a page."""
        return Markup(json_safe(pio.to_json(self.figure, validate=False) or ""))


@dataclass(frozen=True, kw_only=True)
class Group:
    """Figures of which one is shown at a time; `legend` says what is chosen."""

    id: str
    legend: str
    options: tuple[Drawing, ...]


@dataclass(frozen=True, kw_only=True)
class Infos:
    """What several parts of the page need to know of the figures."""

    evidence: EvidenceInfo
    progress: tuple[ProgressInfo, ...]
    importance: ImportanceInfo
    agreements: tuple[Agreement, ...]
    timeline: TimelineInfo


@dataclass(frozen=True, kw_only=True)
class Drawings:
    """The page's figures; None where there is nothing to draw yet."""

    evidence: Drawing | None
    progress: Group | None
    pareto: Group | None
    parallel: Drawing | None
    importance: Group | None
    slices: tuple[Drawing, ...]
    maps: Group | None
    edf: Drawing | None
    curves: Drawing | None
    agreement: Group | None
    timeline: Drawing | None

    def __iter__(self) -> Iterator[Drawing]:
        """Every figure."""
        for value in vars(self).values():
            if isinstance(value, Group):
                yield from value.options
            elif isinstance(value, tuple):
                yield from value
            elif value is not None:
                yield value


def infos(view: StudyView) -> Infos:
    """Computed once for the page."""
    return Infos(
        evidence=evidence_info(view),
        progress=progress_infos(view),
        importance=importance_info(view),
        agreements=agreements(view),
        timeline=timeline_info(view),
    )


def drawings(view: StudyView, known: Infos | None = None) -> Drawings:
    """Every figure that the study has data for."""
    known = known or infos(view)
    strongest = [bar.path for bar in known.importance.bars]
    return Drawings(
        evidence=_evidence(known.evidence),
        progress=_progress(known.progress),
        pareto=_pareto(view),
        parallel=_parallel(view, strongest),
        importance=_importance(view),
        slices=tuple(_slices(view, strongest)),
        maps=_maps(view, strongest),
        edf=_edf(view),
        curves=_curves(view),
        agreement=_agreement(known.agreements),
        timeline=_timeline(known.timeline),
    )


def _evidence(info: EvidenceInfo) -> Drawing | None:
    if not (info.baseline or info.searched):
        return None
    return Drawing(id="evidence", figure=draw_evidence(info), caption=captions.evidence(info))


def _curves(view: StudyView) -> Drawing | None:
    info = curves_info(view)
    if not (info.curves or info.bands):
        return None
    return Drawing(
        id="curves", figure=draw_curves(info), caption=captions.curves(info),
        width=200 * len(info.lengths),
    )  # fmt: skip


def _progress(found: tuple[ProgressInfo, ...]) -> Group | None:
    return _group(
        "progress",
        "over",
        (
            Drawing(
                id=f"progress-{i}", figure=draw_progress(info), caption=captions.progress(info),
                name=info.spending.menu,
            )
            for i, info in enumerate(found)
            if info.searched or info.baseline
        ),
    )  # fmt: skip


def _pareto(view: StudyView) -> Group | None:
    return _group(
        "pareto",
        "against",
        (
            Drawing(
                id=f"pareto-{i}", figure=draw_pareto(info), caption=captions.pareto(info),
                name=info.up.name.partition(",")[0],
            )
            for i, info in enumerate(pareto_infos(view))
        ),
    )  # fmt: skip


def _importance(view: StudyView) -> Group | None:
    return _group(
        "importance",
        "at",
        (
            Drawing(
                id=f"importance-{i}", figure=draw_importance(info),
                caption=captions.importance(info),
                name=f"{info.rung_kimg:,} kimg{', best quarter' if info.among_best else ''}",
            )
            for i, info in enumerate(importance_infos(view))
        ),
    )  # fmt: skip


def _slices(view: StudyView, strongest: list[str]) -> Iterator[Drawing]:
    for i, info in enumerate(slice_infos(view, tuple(strongest))):
        if any(cloud.trials for cloud in info.clouds):
            yield Drawing(
                id=f"slice-{i}", figure=draw_slice(info),
                caption=f"{info.metric} over {info.axis.path}",
                badge=f"best at the {info.edge} edge" if info.edge else "",
            )  # fmt: skip


def _maps(view: StudyView, strongest: list[str]) -> Group | None:
    return _group(
        "maps",
        "of",
        (
            Drawing(
                id=f"map-{i}", figure=draw_map(info), caption=captions.pair(info),
                name=f"{short(info.across.path)} × {short(info.up.path)}",
            )
            for i, info in enumerate(map_infos(view, strongest))
        ),
    )  # fmt: skip


def _edf(view: StudyView) -> Drawing | None:
    info = edf_info(view)
    if not info.rungs:
        return None
    return Drawing(id="edf", figure=draw_edf(info), caption=captions.edf(info))


def _agreement(found: tuple[Agreement, ...]) -> Group | None:
    return _group(
        "agreement",
        "between",
        (
            Drawing(
                id=f"agreement-{i}", figure=draw_agreement(info), caption=captions.agreement(info),
                name=f"{info.early:,} and {info.late:,} kimg",
            )
            for i, info in enumerate(found)
            if len(info.trials) > 1
        ),
    )  # fmt: skip


def _timeline(info: TimelineInfo) -> Drawing | None:
    if not info.stretches:
        return None
    return Drawing(id="timeline", figure=draw_timeline(info), caption=captions.timeline(info))


def _parallel(view: StudyView, strongest: list[str]) -> Drawing | None:
    info = parallel_info(view, strongest)
    if not info.trials:
        return None
    return Drawing(
        id="parallel", figure=draw_parallel(info), caption=captions.parallel(info),
        width=105 * len(info.dimensions),
    )  # fmt: skip


def _group(name: str, legend: str, options: Iterable[Drawing]) -> Group | None:
    found = tuple(options)
    return Group(id=name, legend=legend, options=found) if found else None
