"""Study folder in, HTML out. Files are replaced whole; the study's folder is only read."""

from pathlib import Path

from ictsweep.files import write_atomic
from ictsweep.report.collect import collect
from ictsweep.report.listing import listing, summary
from ictsweep.report.page import render
from ictsweep.study.store import StudyFolder


def build(study_folder: Path, reports: Path) -> Path:
    """Write reports/<study>/index.html from the study as it stands, and reports/index.html over
    all studies there.
    """
    view = collect(StudyFolder.open(study_folder))
    page = reports / view.spec.study / "index.html"
    _write(page, render(view))
    _write(page.with_name("summary.json"), summary(view))
    _write(reports / "index.html", listing(reports))
    return page


def _write(path: Path, text: str) -> None:
    write_atomic(path, text.encode("utf-8", "replace"))  # a log may hold half of a surrogate pair
