"""A study whose launches were preempted, lost, too large and wrong, under three limits: the page
tells of all of it, and its numbers are the log's.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ictsweep.report import build
from ictsweep.report.captions import timeline
from ictsweep.report.collect import collect
from ictsweep.report.figures.timeline import draw_timeline, timeline_info
from ictsweep.report.view import StudyView
from ictsweep.study.store import StudyFolder
from tests.report.axe import findings
from tests.report.browser import MISSING, Browser, browser
from tests.report.fixture import Script, space, write_study
from tests.report.test_browser import GO, TEXT, TRIAL, errors
from tests.report.test_page import Reader

needs_browser = pytest.mark.skipif(bool(MISSING), reason=f"no browser here: {MISSING} missing")

LIMITS = {"max_gpu_hours": 0.4, "max_hours": 0.25, "max_cost": 0.5, "gpu_hour_price": 2.0}
CUT = {
    2: ("preempted: its machine was taken",),
    4: ("oom: CUDA out of memory",),
    7: ("lost: its processes are gone", "preempted: notice"),
}


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """The standard study with four more failed launches, on two GPUs a trial."""
    path = tmp_path_factory.mktemp("troubled") / "s"
    return write_study(path, space(limits=LIMITS), Script(cut=CUT, gpus=2.0))


@pytest.fixture(scope="module")
def seen(troubled: StudyFolder) -> StudyView:
    return collect(troubled)


@pytest.fixture(scope="module")
def page(troubled: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(troubled.path, tmp_path_factory.mktemp("reports"))


def test_the_hours_are_the_logs(troubled: StudyFolder, seen: StudyView) -> None:
    """What the first screen, the phases and the trials say adds up to what launches held."""
    left = [e.data for e in troubled.events() if e.kind == "leave"]
    hours = sum(data["seconds"] * data["gpus"] for data in left) / 3600
    assert seen.spent.gpu_hours == pytest.approx(hours)
    assert seen.held() == pytest.approx(hours)
    assert sum(timeline_info(seen).totals.values()) == pytest.approx(hours * 3600 / 2, rel=1e-3)


def test_launches_are_told_apart_by_how_they_ended(seen: StudyView) -> None:
    info = timeline_info(seen)
    marks = sorted((e.trial, e.what, e.mark) for e in info.endings)
    assert marks == [
        (2, "preempted", "preempted"), (4, "oom", "failed"), (5, "bug", "failed"),
        (7, "lost", "lost"), (7, "preempted", "preempted"), (13, "diverged", "failed"),
    ]  # fmt: skip
    phases = {s.phase for s in info.stretches}
    assert phases == {"start-up", "training", "evaluation", "waiting", "not told apart"}
    names = [trace.name for trace in draw_timeline(info).data]
    assert {"preempted", "lost", "failed", *phases} == set(names)
    assert "Marks: launches cut short (2 preempted, 1 lost, 3 failed)." in timeline(info)


def test_every_failure_stands_under_failures(page: Path) -> None:
    text = Reader(page.read_text()).text
    assert re.search(r"6 failures \(2 preempted, .*\), 4 launched again; 1 trial lost by it", text)
    listed = text[text.index("Failures") :]
    for number, said in CUT.items():
        assert f"Trial {number}" in listed
        assert all(text in listed for text in said)


@pytest.fixture(scope="module")
def tab(page: Path) -> Iterator[Browser]:
    with browser() as opened:
        opened.look(width=1280, height=800)
        opened.open(page)
        yield opened


@needs_browser
def test_three_meters_on_the_first_screen(tab: Browser, seen: StudyView) -> None:
    tab.run(GO, "#overview")
    meters = tab.run(
        "return [...document.querySelectorAll('.first .meter')].map(m => [m.ariaLabel,"
        " m.className, m.firstElementChild.offsetWidth / m.offsetWidth,"
        " m.getBoundingClientRect().bottom])"
    )
    shares = [seen.spent.gpu_hours / 0.4, seen.spent.hours / 0.25, seen.spent.gpu_hours / 0.25]
    assert len(meters) == 3
    for (label, look, width, bottom), share in zip(meters, shares, strict=True):
        assert label == f"{round(100 * share, 1)} % of the limit"
        assert width == pytest.approx(min(1.0, share), abs=0.02)
        assert ("full" in look) == (share >= 1)
        assert bottom < 800
    ends = tab.run(
        "return [...document.querySelectorAll('.first article')]"
        ".map(a => a.getBoundingClientRect().bottom)"
    )
    assert max(ends) <= 800


@needs_browser
def test_a_trials_page_tells_of_its_launches(tab: Browser) -> None:
    tab.run(GO, "#trial-7")
    text = tab.run(TEXT, TRIAL)
    for said in (*CUT[7], "lost (1 of at most", "preempted (1 of at most", "in 3 launches"):
        assert said in text
    rows = tab.run(
        "return [...document.querySelectorAll('.launches tbody tr')].map(r => "
        "[r.cells[2].textContent, r.cells[3].textContent])"
    )
    assert [ended for _, ended in rows] == ["lost", "preempted", "left"]
    assert [told for told, _ in rows[:2]] == ["–", "–"]
    assert re.match(r"start-up \d.*, training \d.*, evaluation \d.*, waiting \d", rows[2][0])
    assert errors(tab) == []
    assert findings(tab) == []
