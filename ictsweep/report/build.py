"""Study folder in, HTML out. Files are replaced whole; the study's folder is only read."""

import gc
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from markupsafe import Markup

from ictsweep.files import write_atomic
from ictsweep.report.collect import collect
from ictsweep.report.compare import comparison_info
from ictsweep.report.listing import comparison_summary, listing, summary
from ictsweep.report.page import render
from ictsweep.report.plotting import beside, inside
from ictsweep.report.versus import folder_name, render_comparison
from ictsweep.report.view import StudyView
from ictsweep.study.store import StudyFolder

STAMP = "stamp.js"
SHOWN = ("config.yaml", "samples")  # what a report reads of a trial, beside the log


def build(
    study_folder: Path, reports: Path, *, single_file: bool = False, live: bool = False
) -> Path:
    """Write reports/<study>/index.html from the study as it stands, and reports/index.html over
    all studies there. With `single_file` the page needs nothing beside it; a `live` page looks for
    a newer one and reloads itself.
    """
    with _no_cycles():
        return _build(study_folder, reports, single_file=single_file, live=live)


def _build(study_folder: Path, reports: Path, *, single_file: bool, live: bool) -> Path:
    view = collect(StudyFolder.open(study_folder))
    page = reports / view.spec.study / "index.html"
    stamp = stamp_of(view)
    _write(page, render(view, _plotly(reports, single_file), stamp if live else ""))
    _write(page.with_name("summary.json"), summary(view))
    _write(reports / "index.html", listing(reports))
    _write(page.with_name(STAMP), f'ictsweepStamp("{stamp}");\n')  # last: now open pages may reload
    return page


@contextmanager
def _no_cycles() -> Iterator[None]:
    """Python's search for cyclic garbage, put off: a large study is millions of objects without
    any, and looking through them again and again takes a third of the time.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def build_comparison(
    study_folders: Sequence[Path], reports: Path, *, single_file: bool = False
) -> Path:
    """Write the page that compares studies, and reports/index.html with it; UserError where they
    may not be compared.
    """
    views = [collect(StudyFolder.open(folder)) for folder in study_folders]
    page = reports / folder_name(views) / "index.html"
    info = comparison_info(views)
    _write(page, render_comparison(info, _plotly(reports, single_file)))
    _write(page.with_name("summary.json"), comparison_summary(info, views))
    _write(reports / "index.html", listing(reports))
    return page


def _plotly(reports: Path, single_file: bool) -> Markup:
    return inside() if single_file else beside(reports)


def stamp_of(view: StudyView) -> str:
    """A name for this state of the study: hexadecimal digits."""
    said = f"{view.updated} {len(view.trials)} {sorted(view.states.items())}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _write(path: Path, text: str) -> None:
    write_atomic(path, text.encode("utf-8", "replace"))  # a log may hold half of a surrogate pair
