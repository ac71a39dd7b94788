"""Accessibility: no serious finding on any part of the page, light, dark or on a phone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ictsweep.report import build_comparison
from ictsweep.report.view import StudyView
from ictsweep.study.store import StudyFolder
from tests.report.axe import findings
from tests.report.browser import MISSING, Browser, browser
from tests.report.test_browser import GO, TABS

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no browser here: {MISSING} missing")


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_part_of_a_report(tab: Browser, page: Path, view: StudyView, dark: bool) -> None:
    tab.look(dark=dark)
    tab.open(page)
    for name in (*tab.run(TABS), f"trial-{view.best}", "trial-5"):
        tab.run(GO, f"#{name}")
        assert findings(tab) == [], name


def test_with_a_selection_on_a_phone(tab: Browser, page: Path) -> None:
    tab.look(width=390, height=844)
    tab.open(page)
    tab.run(GO, "#trials?pick=0-9")
    assert findings(tab) == []


def test_the_list_and_a_comparison(tab: Browser, page: Path, study: StudyFolder) -> None:
    reports = page.parent.parent
    tab.look()
    for other in (reports / "index.html", build_comparison([study.path, study.path], reports)):
        tab.open(other)
        assert findings(tab) == []
