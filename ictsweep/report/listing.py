"""All studies that were reported, on one page: each report leaves a small summary beside it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ictsweep.report.format import count, moment, scored
from ictsweep.report.template import page
from ictsweep.report.view import StudyView
from ictsweep.report.words import finding, progress


def summary(view: StudyView) -> str:
    """What the list says of a study, as JSON."""
    found = finding(view)
    best = view.trial(view.best) if view.best is not None else None
    entry = {
        "study": view.spec.study,
        "metric": view.metric,
        "headline": found.headline,
        "verdict": found.verdict.name.lower() if found.verdict else "",
        "label": found.label,
        "progress": progress(view),
        "best": scored(best.final) if best else "–",
        "states": {str(state): n for state, n in view.states.items()},
        "configurations": count(sum(t.replicate_of is None for t in view.trials), "configuration"),
        "updated": view.updated or 0.0,
    }
    return json.dumps(entry, indent=2, ensure_ascii=False)


def listing(reports: Path) -> str:
    """reports/index.html: the studies found there, the latest first."""
    entries = sorted(_summaries(reports), key=lambda entry: -entry["updated"])
    shown = [{**entry, "updated": moment(entry["updated"] or None)} for entry in entries]
    return page("index.html.j2", title="Studies", studies=shown)


def _summaries(reports: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(reports.glob("*/summary.json")):
        try:
            entry = json.loads(path.read_text())
            yield {
                **_EMPTY,
                **entry,
                "updated": float(entry["updated"]),
                "folder": path.parent.name,
            }
        except (ValueError, TypeError, KeyError):
            continue  # written by something else: not ours to list


_EMPTY = dict.fromkeys(
    ("study", "metric", "headline", "verdict", "label", "progress", "best", "configurations"), ""
)
