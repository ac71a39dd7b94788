"""All studies that were reported, on one page: each report leaves a small summary beside it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ictsweep.report.compare import ComparisonInfo
from ictsweep.report.format import count, moment, scored
from ictsweep.report.health import amount
from ictsweep.report.samples import encoded, opened, upper
from ictsweep.report.strips import sheet_size
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
        "cost": amount(view, view.held()),
        "thumb": _thumb(view),
        "configurations": count(sum(t.replicate_of is None for t in view.trials), "configuration"),
        "updated": view.updated or 0.0,
    }
    return json.dumps(entry, indent=2, ensure_ascii=False)


def comparison_summary(info: ComparisonInfo, views: Sequence[StudyView]) -> str:
    """What the list says of a comparison, as JSON."""
    entry = {
        "compares": list(info.names),
        "metric": info.metric,
        "said": [difference.text for difference in info.differences],
        "updated": max(view.updated or 0.0 for view in views),
    }
    return json.dumps(entry, indent=2, ensure_ascii=False)


def _thumb(view: StudyView) -> str:
    """The first samples of the trial that stands first, as a data URI; "" where there are none."""
    images = sheet_size(view.spec.trial["evaluate"])
    image = opened(next((t.sample for t in view.standing() if t.sample), None))
    return "" if image is None else encoded(upper(image, images, 4)).uri


def listing(reports: Path) -> str:
    """reports/index.html: the studies and the comparisons found there, the latest first."""
    entries = sorted(_summaries(reports), key=lambda entry: -entry["updated"])
    shown = [{**entry, "updated": moment(entry["updated"] or None)} for entry in entries]
    return page(
        "index.html.j2",
        title="Studies",
        studies=[entry for entry in shown if not entry["compares"]],
        comparisons=[entry for entry in shown if entry["compares"]],
    )


def _summaries(reports: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(reports.glob("*/summary.json")):
        try:
            found = json.loads(path.read_text())
            entry = {key: value for key, value in found.items() if value is not None}
            if not str(entry.get("thumb", "")).startswith("data:image/png;base64,"):
                entry["thumb"] = ""
            yield {
                **{name: str(entry.get(name, "")) for name in _TEXTS},
                "compares": [str(name) for name in entry.get("compares", ())],
                "said": [str(text) for text in entry.get("said", ())],
                "updated": min(max(float(entry["updated"]), 0.0), _LAST),
                "folder": path.parent.name,
            }
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # written by something else: not ours to list


_TEXTS = (
    "cost", "thumb", "study", "metric", "headline", "verdict", "label", "progress", "best",
    "configurations",
)  # fmt: skip
_LAST = 4e9  # seconds since the epoch: no study was updated later
