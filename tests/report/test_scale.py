"""One trial and thousands: small enough, soon built, and every control still works.

Seconds of a processor and megabytes to build; what a reader waits for in a browser is measured by
the benchmark `report_browser`.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ictsweep.report import build
from ictsweep.report.theme import PALETTE
from tests.report.axe import findings
from tests.report.browser import MISSING, Browser, browser
from tests.report.fixture import Script, space, write_study
from tests.report.many import write_many
from tests.report.test_browser import (
    DRAW,
    FIRST,
    GO,
    MIDDLE,
    SEARCH,
    SHOWN,
    TABS,
    TEXT,
    TRIAL,
    VIEW,
    colour,
    errors,
    walk_by_keyboard,
)
from tests.report.test_page import PLOTLY

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no browser here: {MISSING} missing")

BUSY = 3
AXES = "return document.querySelectorAll('#plot-parallel .axis-brush').length"
POINT = """
const plot = app.plot('evidence');
plot.scrollIntoView({ block: 'center' });
const marks = [...plot.querySelectorAll('.scatterlayer .point')];
const at = marks.map((mark) => mark.getBoundingClientRect()).filter((box) => box.width);
const box = at[arguments[0] % at.length];
return [box.x + box.width / 2, box.y + box.height / 2];
"""
FRAMES = """
const view = document.getElementById('rows');
return new Promise((done) => {
  const times = [];
  let last = performance.now(), n = 0;
  const step = (now) => {
    times.push(now - last); last = now; n += 1; view.scrollTop += 400;
    if (n < 60) requestAnimationFrame(step); else done(times.slice(1).sort((a, b) => a - b));
  };
  requestAnimationFrame(step);
});
"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


def megabytes(reports: Path) -> float:
    """All that a report needs."""
    return sum(path.stat().st_size for path in reports.rglob("*") if path.is_file()) / 1e6


def test_one_trial(tab: Browser, tmp_path: Path) -> None:
    spec = space(trials=1, replicates=1)
    folder = write_study(tmp_path / "s", spec, Script(fail={}, diverge=frozenset()))
    build(folder.path, tmp_path / "reports")
    _serves_a_reader(tab, tmp_path / "reports", 1)


def _serves_a_reader(tab: Browser, reports: Path, trials: int) -> None:
    """What a page of any size does: it answers on its first screen, asks nobody, follows mouse and
    keyboard, is dark on a dark system, and the audit finds nothing.
    """
    tab.requests()
    tab.look(width=1280, height=800)
    tab.open(reports / "digits" / "index.html")
    tab.run(GO, "#overview")
    boxes = tab.run(FIRST)
    assert len(boxes) == 5
    assert max(bottom for bottom, _ in boxes) <= 800
    tab.look()
    tab.run(DRAW, "evidence")
    x, y = tab.run(POINT, 0)
    tab.drag((x, y), (x, y))  # a click
    assert tab.run(VIEW) == "trial"
    assert tab.run(TEXT, f"{TRIAL} h2").startswith("Trial ")

    tab.run(GO, "#trials")
    tab.run("document.getElementById('plot-parallel')?.scrollIntoView({block: 'center'})")
    if trials > 1:
        x, top, height = tab.run(MIDDLE, tab.run(AXES) - 1)
        tab.drag((x, top + 2), (x, top + 0.3 * height))
        shown = tab.run(SHOWN)
        assert 0 < len(shown) < trials
        assert "pick=" in tab.run("return location.hash")
        tab.run("app.pick(null)")
    assert len(tab.run(SHOWN)) == trials

    walk_by_keyboard(tab)
    for dark in (False, True):
        tab.look(dark=dark)
        ink = PALETTE["ink"][dark]
        assert tab.run("return getComputedStyle(document.body).color") == colour(ink)
        for name in (*tab.run(TABS), "trial-0"):
            tab.run(GO, f"#{name}")
        assert findings(tab) == []
    tab.look()
    library = (reports / PLOTLY).resolve().as_uri()
    page = (reports / "digits" / "index.html").resolve().as_uri()
    assert sorted(tab.requests()) == sorted([page, library])
    assert errors(tab) == []


def _check(tab: Browser, tmp_path: Path, trials: int, seconds: float, size: float) -> None:
    folder = write_many(tmp_path / "many", trials, pictures=40)
    begun = time.process_time()
    page = build(folder.path, tmp_path / "reports")
    assert time.process_time() - begun < 2 * seconds  # of a processor that others use too
    assert megabytes(tmp_path / "reports") < size
    tab.look()
    tab.open(page)
    tab.run(GO, "#trials")
    assert len(tab.run(SHOWN)) == trials
    assert tab.run("return document.querySelectorAll('#table tbody tr').length") < 120
    tab.run(SEARCH, "at rung 320 kimg")
    stopped = {n for n in range(1, trials) if n % 4 in (1, 2)}
    found = set(tab.run(SHOWN))
    assert stopped <= found
    assert len(found) < len(stopped) + trials // 50  # and a few whose numbers have a 320 in them
    tab.run(SEARCH, "")
    tab.run("app.pick(new Set(app.trials.slice(0, 100).map(t => t.n)))")
    assert len(tab.run(SHOWN)) == 100
    tab.run("app.pick(null)")
    _serves_a_reader(tab, tmp_path / "reports", trials)


def test_a_thousand_trials(tab: Browser, tmp_path: Path) -> None:
    _check(tab, tmp_path, 1000, 3, 12)


@pytest.mark.slow
def test_ten_thousand_trials(tab: Browser, tmp_path: Path) -> None:
    _check(tab, tmp_path, 10_000, 20, 40)


@pytest.mark.bench
@pytest.mark.parametrize(("trials", "seconds"), [(1000, 2), (10_000, 5)])
def test_a_reader_waits_for_little(
    tab: Browser, tmp_path: Path, trials: int, seconds: float
) -> None:
    """Seconds until a page answers, milliseconds a frame; an idle machine has a third of them."""
    page = build(write_many(tmp_path / "many", trials, pictures=40).path, tmp_path / "reports")
    begun = time.monotonic()
    tab.open(page)
    assert time.monotonic() - begun < BUSY * seconds
    tab.run(GO, "#trials")
    frames = tab.run(FRAMES)
    assert frames[len(frames) // 2] < BUSY * 17  # milliseconds: 60 a second when idle
