"""The page in a real browser, opened from disk: it draws, it is silent, its controls work."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ictsweep.report import build
from ictsweep.report.theme import PALETTE
from ictsweep.report.view import StudyView
from tests.report.browser import MISSING, Browser, browser
from tests.report.fixture import Script, space, write_study
from tests.report.test_page import HOSTILE

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no browser here: {MISSING} missing")

SHOWN = """
return [...document.querySelectorAll('#table tbody tr:not([hidden])')].map(r => +r.dataset.trial);
"""
SEARCH = """
const search = document.getElementById('search');
search.value = arguments[0];
search.dispatchEvent(new Event('input'));
"""
MIDDLE = """
const axes = document.querySelectorAll('#plot-parallel .axis-brush .background');
const box = axes[arguments[0]].getBoundingClientRect();
return [box.x + box.width / 2, box.y, box.height];
"""

RESET = """
document.getElementById('clear').click();
document.querySelectorAll('.chip[aria-pressed=false]').forEach((chip) => chip.click());
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as tab:
        yield tab


@pytest.fixture(scope="module")
def opened(chromium: Browser, page: Path) -> Browser:
    """The standard study's page, opened once on a desktop in light mode."""
    chromium.log("browser")
    chromium.requests()
    chromium.look()
    chromium.open(page)
    return chromium


@pytest.fixture
def tab(opened: Browser) -> Browser:
    """That page as it was when it was opened, the order of its table apart."""
    opened.look()
    opened.run(SEARCH, "")
    opened.run(RESET)
    return opened


def _errors(tab: Browser) -> list[str]:
    return [entry["message"] for entry in tab.log("browser") if entry["level"] == "SEVERE"]


def test_silent_and_alone(opened: Browser, page: Path) -> None:
    assert _errors(opened) == []
    assert opened.requests() == [page.resolve().as_uri()]
    drawn = opened.run("return document.querySelectorAll('.plot .main-svg').length")
    assert drawn >= 10


def test_every_trial_can_be_found(tab: Browser, view: StudyView) -> None:
    assert sorted(tab.run(SHOWN)) == [t.number for t in view.trials]
    for trial in view.trials:
        tab.run(SEARCH, str(trial.number))
        assert trial.number in tab.run(SHOWN)
    tab.run(SEARCH, "")
    assert len(tab.run(SHOWN)) == len(view.trials)


def test_search_filters(tab: Browser) -> None:
    tab.run(SEARCH, "Diverged 96 kimg")
    assert tab.run(SHOWN) == [13]
    assert tab.run("return document.getElementById('shown').textContent") == "1 of 18 trials"
    tab.run(SEARCH, "no such thing")
    assert tab.run(SHOWN) == []


def test_states_filter(tab: Browser, view: StudyView) -> None:
    tab.run("document.querySelector('.chip[data-label=stopped]').click()")
    assert (
        tab.run("return document.querySelector('.chip[data-label=stopped]').ariaPressed") == "false"
    )
    rest = {t.number for t in view.trials if t.number == 13 or str(t.state) != "pruned"}
    assert set(tab.run(SHOWN)) == rest


def test_heads_sort(tab: Browser, view: StudyView) -> None:
    def press(head: str) -> list[int]:
        tab.run(
            "[...document.querySelectorAll('thead th')].find(h => h.title === arguments[0])"
            ".querySelector('button').click()",
            head,
        )
        return tab.run(SHOWN)

    dropout = {t.number: t.params["network.dropout"] for t in view.trials}
    rising = [dropout[number] for number in press("network.dropout")]
    assert rising == sorted(rising)
    falling = [dropout[number] for number in press("network.dropout")]
    assert falling == sorted(falling, reverse=True)
    assert (
        tab.run("return document.querySelector('th[aria-sort=descending]').title")
        == "network.dropout"
    )
    finals = [view.trial(n).final for n in press("digits Fréchet distance at the full budget")]
    values = [final.value for final in finals if final]
    assert values == sorted(values)
    assert all(final is None for final in finals[len(values) :])  # without a value: last


def test_brushing_filters_the_table(tab: Browser, view: StudyView) -> None:
    """A real drag over the top of the axis "reached" leaves the trials that got to the end."""
    tab.run("document.getElementById('plot-parallel').scrollIntoView({block: 'center'})")
    x, top, height = tab.run(MIDDLE, 5)
    tab.drag((x, top + 2), (x, top + 0.3 * height))
    finished = {t.number for t in view.measured_at(288)}
    assert set(tab.run(SHOWN)) == finished
    assert not tab.run("return document.getElementById('clear').hidden")
    tab.run("document.getElementById('clear').click()")
    assert len(tab.run(SHOWN)) == len(view.trials)
    assert _errors(tab) == []


def test_dark_mode_repaints_page_and_figures(tab: Browser) -> None:
    light, dark = PALETTE["ink"]
    stroke = "return document.querySelector('#plot-evidence .yaxislayer-above text').style.fill"
    before = tab.run(stroke)
    tab.look(dark=True)
    assert tab.run("return getComputedStyle(document.body).color") == _rgb(dark)
    assert before == _rgb(light)
    assert tab.run(stroke) == _rgb(dark)


def _rgb(colour: str) -> str:
    return f"rgb({int(colour[1:3], 16)}, {int(colour[3:5], 16)}, {int(colour[5:7], 16)})"


def test_nothing_sticks_out_on_a_phone(tab: Browser) -> None:
    tab.look(width=390, height=844)
    assert tab.run("return document.documentElement.scrollWidth") <= 390


def test_copy_and_keyboard(tab: Browser) -> None:
    tab.run("document.querySelector('[data-copy=yaml-best]').click()")
    said = "return document.querySelector('[data-copy=yaml-best]').textContent"
    later = f"return new Promise(r => setTimeout(() => r((() => {{{said}}})()), 100))"
    assert tab.run(later) == "Copied"
    controls = "document.querySelectorAll('a[href], button, input, .table, pre')"
    assert tab.run(f"return [...{controls}].every(control => control.tabIndex >= 0)")


def test_hostile_text_stays_text(chromium: Browser, tmp_path: Path) -> None:
    search = {
        HOSTILE.replace(".", ""): {"choices": [HOSTILE, "b"]},
        "network.dropout": {"range": [0, 0.5]},
    }
    script = Script(
        fail={4: f"bug: {HOSTILE}"}, passports={n: {"metric": HOSTILE} for n in range(30)}
    )
    folder = write_study(tmp_path / "study", space(search=search), script)
    chromium.look()
    chromium.open(build(folder.path, tmp_path / "reports"))
    assert _errors(chromium) == []
    assert chromium.run("return document.querySelectorAll('img[src=x]').length") == 0
    assert "alert(1)" in chromium.run("return document.getElementById('stops').textContent")
    assert json.dumps(chromium.requests()).count("http") == 0
