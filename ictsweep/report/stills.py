"""Every figure of a report by itself, for a paper: SVG, PNG or PDF.

kaleido draws plotly's figures in a browser of this machine: one for all of them, which asks no
network for anything. It is optional: the page's own buttons save SVG and PNG of any figure.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ictsweep.errors import UserError
from ictsweep.files import write_atomic
from ictsweep.report.collect import collect
from ictsweep.report.drawings import Drawing, drawings
from ictsweep.study.store import StudyFolder

FORMATS = ("svg", "png", "pdf")
_TRIES = 3
WIDTH = 900  # pixels
INSTEAD = "the buttons below each figure of the page save SVG and PNG without it"


def check_stills(form: str) -> None:
    """UserError where nothing can draw figures in this form."""
    if form not in FORMATS:
        raise UserError(f"--figures: got {form}; expected {', '.join(FORMATS)}")
    if find_spec("kaleido") is None:
        raise UserError(
            "--figures: needs kaleido, which is not installed: "
            f"pip install 'ictsweep[figures]' (and a Chromium or Chrome); {INSTEAD}"
        )


def write_stills(study_folder: Path, reports: Path, form: str) -> Path:
    """Write reports/<study>/figures/<figure>.<form>; UserError where nothing can draw them."""
    check_stills(form)
    view = collect(StudyFolder.open(study_folder))
    folder = reports / view.spec.study / "figures"
    asyncio.run(_write(drawings(view), folder, form))
    return folder


async def _write(figures: Iterable[Drawing], folder: Path, form: str) -> None:
    async for drawing, picture in _drawn(figures, form):
        write_atomic(folder / f"{drawing.id}.{form}", picture)


async def _drawn(figures: Iterable[Drawing], form: str) -> AsyncIterator[tuple[Drawing, bytes]]:
    """Each figure with its picture, light and on white."""
    import kaleido  # ictsweep[figures]

    name = ""
    try:
        async with kaleido.Kaleido(mathjax=False) as browser:  # else fetched, for no formula
            for drawing in figures:
                name = f"{drawing.id}: "
                figure = drawing.figure.update_layout(paper_bgcolor="white")
                opts: Any = {
                    "format": form, "width": max(WIDTH, drawing.width), "height": drawing.height,
                    "scale": 3 if form == "png" else 1,
                }  # fmt: skip
                yield drawing, await _picture(browser, figure.to_plotly_json(), opts)
    except Exception as error:  # kaleido and its browser raise all kinds
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"--figures: {name}{said[0]}; {INSTEAD}") from error


async def _picture(browser: Any, figure: Any, opts: Any) -> bytes:
    """One figure. On a busy machine kaleido may ask a page that has not loaded yet; after an error
    it loads the page anew.
    """
    for _ in range(_TRIES - 1):
        with contextlib.suppress(Exception):  # of kaleido and its browser; the last one goes on
            return await browser.calc_fig(figure, opts=opts)
    return await browser.calc_fig(figure, opts=opts)
