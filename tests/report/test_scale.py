"""One trial and thousands: small enough, soon built, and every control still works.

Seconds of a processor and megabytes to build; what a reader waits for in a browser is measured by
the benchmark `report_browser`.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ictsweep.report import build
from tests.report.axe import findings
from tests.report.browser import MISSING, Browser, browser
from tests.report.fixture import Script, space, write_study
from tests.report.many import write_many
from tests.report.test_browser import GO, SEARCH, SHOWN, errors

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no browser here: {MISSING} missing")

BUSY = 3
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
    tab.look()
    tab.open(build(folder.path, tmp_path / "reports"))
    for name in ("overview", "trials", "space", "curves", "stopping", "samples", "cost", "trial-0"):
        tab.run(GO, f"#{name}")
    assert errors(tab) == []
    assert findings(tab) == []


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
    for name in ("curves", "space", "trial-7", "stopping", "cost", "samples", "overview"):
        tab.run(GO, f"#{name}")
    assert errors(tab) == []
    assert findings(tab) == []


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
