"""The study's result for the terminal, in the same words as the page."""

from pathlib import Path

from ictsweep.report.collect import collect
from ictsweep.report.reproduce import leader
from ictsweep.report.words import finding
from ictsweep.study.store import StudyFolder


def conclusion(study_folder: Path) -> str:
    """What won, how it compares with trial 0 and its seed noise, and the best configuration, as
    lines of text.
    """
    view = collect(StudyFolder.open(study_folder))
    found = finding(view)
    lines = [f"{view.metric}: {found.headline}", *(f"  {reason}" for reason in found.reasons)]
    if view.trials:
        best = view.trial(leader(view))
        lines.append(f"best configuration (trial {best.number}):")
        lines += [f"  {path}: {_short(value)}" for path, value in best.params.items()]
    return "\n".join(lines)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
