"""All figures of a page, drawn: each from its info, with its caption; None where there is
nothing to draw yet.
"""

from dataclasses import dataclass

import plotly.graph_objects as go
import plotly.io as pio
from markupsafe import Markup

from ictsweep.report import captions
from ictsweep.report.figures.curves import curves_info, draw_curves
from ictsweep.report.figures.evidence import draw_evidence, evidence_info
from ictsweep.report.figures.importance import ImportanceInfo, draw_importance, importance_info
from ictsweep.report.figures.parallel import draw_parallel, parallel_info
from ictsweep.report.figures.progress import draw_progress, progress_info
from ictsweep.report.figures.slices import draw_slice, slice_infos
from ictsweep.report.template import json_safe
from ictsweep.report.view import StudyView


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure in the page: its element's id, plotly's JSON, what it says in words, its height
    and least width in pixels.
    """

    id: str
    json: Markup
    caption: str
    height: int
    width: int = 0


@dataclass(frozen=True, kw_only=True)
class Drawings:
    """The page's figures. `mattered` says in a few words which parameters did, `importance_text`
    how that is known.
    """

    evidence: Drawing | None
    curves: Drawing | None
    progress: Drawing | None
    importance: Drawing | None
    mattered: str
    importance_text: str
    slices: tuple[Drawing, ...]
    parallel: Drawing | None


def drawings(view: StudyView) -> Drawings:
    """Every figure that the study has data for."""
    importance = importance_info(view)
    return Drawings(
        evidence=_evidence(view),
        curves=_curves(view),
        progress=_progress(view),
        importance=_importance(importance),
        mattered=captions.standing_out(importance),
        importance_text=captions.importance(importance),
        slices=_slices(view, importance),
        parallel=_parallel(view),
    )


def _evidence(view: StudyView) -> Drawing | None:
    info = evidence_info(view)
    if not (info.baseline or info.searched):
        return None
    return _drawing("evidence", draw_evidence(info), captions.evidence(info))


def _curves(view: StudyView) -> Drawing | None:
    info = curves_info(view)
    if not (info.curves or info.bands):
        return None
    width = 200 * len(info.lengths)
    return _drawing("curves", draw_curves(info), captions.curves(info), width=width)


def _progress(view: StudyView) -> Drawing | None:
    info = progress_info(view)
    if not (info.searched or info.baseline):
        return None
    return _drawing("progress", draw_progress(info), captions.progress(info))


def _importance(info: ImportanceInfo) -> Drawing | None:
    if not info.bars:
        return None
    return _drawing("importance", draw_importance(info), captions.importance(info))


def _slices(view: StudyView, importance: ImportanceInfo) -> tuple[Drawing, ...]:
    order = tuple(bar.path for bar in importance.bars)
    infos = slice_infos(view, order)
    return tuple(
        _drawing(f"slice-{i}", draw_slice(info), f"{info.metric} over {info.axis.path}")
        for i, info in enumerate(infos)
        if any(cloud.trials for cloud in info.clouds)
    )


def _parallel(view: StudyView) -> Drawing | None:
    info = parallel_info(view)
    if not info.trials:
        return None
    width = 105 * len(info.dimensions)
    return _drawing("parallel", draw_parallel(info), captions.parallel(info), width=width)


def _drawing(name: str, drawn: go.Figure, caption: str, width: int = 0) -> Drawing:
    text = pio.to_json(drawn, validate=False) or ""
    height = int(drawn.layout.height)  # type: ignore[union-attr]
    return Drawing(
        id=name, json=Markup(json_safe(text)), caption=caption, height=height, width=width
    )
