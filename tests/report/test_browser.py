"""The page in a real browser, opened from disk: it draws, it is silent, its controls work."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from ictsweep.report import build
from ictsweep.report.figures.parallel import MOST
from ictsweep.report.theme import PALETTE
from ictsweep.report.view import StudyView
from tests.report.browser import MISSING, Browser, browser
from tests.report.fixture import Script, space, write_study
from tests.report.many import write_many
from tests.report.test_page import HOSTILE, PLOTLY

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no browser here: {MISSING} missing")

SHOWN = "return app.shownTrials()"
FIRST = """
return [...document.querySelectorAll('.first article')].map((article) => [
  article.getBoundingClientRect().bottom + scrollY,
  article.querySelector('.question').textContent,
]);
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
GO = "location.hash = arguments[0]; return new Promise(r => setTimeout(r, 80)).then(app.settled)"
VIEW = "return new Promise(r => setTimeout(() => r(document.body.dataset.view), 80))"
TEXT = "return document.querySelector(arguments[0]).textContent"
TABS = "return [...document.querySelectorAll('[data-tab]')].map(tab => tab.dataset.tab)"
EMIT = "app.plot(arguments[0]).emit(arguments[1], {points: arguments[2]})"
DRAW = "return app.draw(arguments[0]).then(() => 1)"
LENGTH = "return typeof app === 'undefined' ? 0 : app.trials.length"
TRIAL = "[data-panel=trial]"


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
    """That page, showing the table of all trials, nothing selected."""
    opened.look()
    opened.run(
        "app.pick(null); app.change({q: '', off: new Set(), hide: new Set(), sort: 1, down: false})"
    )
    opened.run(GO, "#trials")
    opened.run("scrollTo(0, 0)")
    return opened


def errors(tab: Browser) -> list[str]:
    """What the console called an error."""
    return [entry["message"] for entry in tab.log("browser") if entry["level"] == "SEVERE"]


def test_silent_and_alone(opened: Browser, page: Path) -> None:
    library = (page.parent.parent / PLOTLY).resolve().as_uri()
    assert sorted(opened.requests()) == sorted([page.resolve().as_uri(), library])
    names = opened.run(TABS)
    assert len(names) == 8
    for name in names:
        opened.run(GO, f"#{name}")
        opened.run("window.scrollTo(0, 1e6); return new Promise(r => setTimeout(r, 150))")
        opened.run("return app.settled().then(() => 1)")
    assert errors(opened) == []
    assert opened.requests() == []
    drawn = opened.run("return document.querySelectorAll('.plot .main-svg').length")
    assert drawn >= 10


def test_the_first_screen_answers_five_questions(opened: Browser, view: StudyView) -> None:
    """All of it in sight at once on a laptop, and without any script having drawn a thing."""
    opened.run(GO, "#overview")
    opened.look(width=1280, height=800)
    boxes = opened.run(FIRST)
    assert len(boxes) == 5
    assert max(bottom for bottom, _ in boxes) <= 800
    text = opened.run("return document.querySelector('.first').textContent")
    assert f"Trial {view.best}" in text
    assert "Kendall" in text or "Too few to say" in text
    assert opened.run("return document.querySelectorAll('.first .plot').length") == 0


def test_every_trial_can_be_found(tab: Browser, view: StudyView) -> None:
    assert sorted(tab.run(SHOWN)) == [t.number for t in view.trials]
    rows = tab.run("return [...document.querySelectorAll('#table [data-trial]')].length")
    assert rows == len(view.trials)
    for trial in view.trials:
        tab.run(SEARCH, str(trial.number))
        assert trial.number in tab.run(SHOWN)


def test_search_filters(tab: Browser) -> None:
    tab.run(SEARCH, "Diverged 96 kimg")
    assert tab.run(SHOWN) == [13]
    assert tab.run("return document.getElementById('shown').textContent") == "1 of 18 trials"
    tab.run(SEARCH, "no such thing")
    assert tab.run(SHOWN) == []


def test_states_filter(tab: Browser, view: StudyView) -> None:
    chip = "document.querySelector('.chip[data-label=stopped]')"
    tab.run(f"{chip}.click()")
    assert tab.run(f"return {chip}.ariaPressed") == "false"
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


def test_columns_hide_and_the_csv_is_what_is_shown(tab: Browser, view: StudyView) -> None:
    tab.run(SEARCH, "complete")
    shown = tab.run(SHOWN)
    lines = tab.run("return app.csv()").splitlines()
    heads = lines[0].split(",")
    assert len(lines) == 1 + len(shown)
    place = heads.index("final")
    values = [float(line.split(",")[place]) for line in lines[1:]]
    assert values == [view.trial(n).final.value for n in shown]  # type: ignore[union-attr]
    tab.run("app.change({hide: new Set([3])})")
    assert "final" not in tab.run("return app.csv()").splitlines()[0].split(",")
    hidden = "return [...document.querySelectorAll('thead th')].filter(h => h.hidden).length"
    assert tab.run(hidden) == 1


def test_brushing_filters_the_table_and_stands_in_the_address(
    tab: Browser, view: StudyView
) -> None:
    """A real drag over the top of the axis "reached" leaves the trials that got to the end."""
    tab.run("document.getElementById('plot-parallel').scrollIntoView({block: 'center'})")
    x, top, height = tab.run(MIDDLE, 5)
    tab.drag((x, top + 2), (x, top + 0.3 * height))
    finished = {t.number for t in view.measured_at(288)}
    assert set(tab.run(SHOWN)) == finished
    address = tab.run("return location.hash")
    assert "pick=" in address
    tab.run(GO, "#curves")
    count = "return document.getElementById('picked-count').textContent"
    assert tab.run(count) == f"{len(finished)} trials selected"
    added = "return app.plot('curves').data.filter(t => /selected/.test(t.name))"
    owners = {n for trace in tab.run(added) for n in trace["customdata"] if n is not None}
    assert owners == finished
    tab.run(GO, "#samples")
    rows = tab.run("return [...document.querySelectorAll('#matrix li')].map(r => +r.dataset.trial)")
    assert set(rows) == finished
    tab.run("document.getElementById('clear').click()")
    tab.run(GO, "#trials")
    assert len(tab.run(SHOWN)) == len(view.trials)
    tab.run("history.replaceState(null, '', '#');")
    tab.run(GO, address)
    assert set(tab.run(SHOWN)) == finished
    assert errors(tab) == []


def test_a_region_of_a_scatter_selects_too(tab: Browser) -> None:
    tab.run(GO, "#space")
    tab.run(DRAW, "slice-0")
    tab.run(EMIT, "slice-0", "plotly_selected", [{"customdata": 3}, {"customdata": 4}])
    assert tab.run("return [...app.state.pick]") == [3, 4]
    tab.run("return app.settled().then(() => 1)")
    dimmed = tab.run("return app.plot('slice-0').data.map(t => (t.selectedpoints || []).length)")
    assert 2 in dimmed


def test_a_point_opens_its_trial(tab: Browser, view: StudyView) -> None:
    tab.run(GO, "#overview")
    tab.run(DRAW, "evidence")
    tab.run(EMIT, "evidence", "plotly_click", [{"customdata": view.best, "data": {}}])
    assert tab.run("return location.hash").startswith(f"#trial-{view.best}")
    text = tab.run(TEXT, TRIAL)
    assert f"Trial {view.best}" in text
    assert "network.dropout" in text
    best = view.standing()
    assert best[0].number == view.best
    tab.run("document.querySelector('[rel=next]').click()")
    tab.run(VIEW)
    assert tab.run(TEXT, f"{TRIAL} h2") == f"Trial {best[1].number}"
    tab.press("ArrowLeft")
    assert tab.run("return location.hash").startswith(f"#trial-{view.best}")
    assert errors(tab) == []


def test_every_trial_has_a_page(tab: Browser, view: StudyView) -> None:
    for trial in view.trials:
        tab.run(GO, f"#trial-{trial.number}")
        assert tab.run(VIEW) == "trial"
        text = tab.run(TEXT, TRIAL)
        assert f"Trial {trial.number}" in text
        for failure in trial.failures:
            assert failure in text
        assert f"rank {trial.cards[0].rank} of" in text or trial.cards[0].rank is None
    assert errors(tab) == []


SPECTRUM = """
const plot = document.querySelector('[data-plot=spectrum]');
const drawn = () => plot.data.map(({ name, x, y, customdata }) => [name, x, y, customdata]);
return plot && new Promise((tell) => {
  const look = () => (plot.data ? tell(drawn()) : setTimeout(look, 20));
  look();
});
"""


def test_a_trials_page_shows_the_loss_by_noise_level(tab: Browser, view: StudyView) -> None:
    """The log's bands at the end of each of its runs, float32; without any there is no figure."""
    trial = view.trial(view.best or 0)
    tab.run(GO, f"#trial-{trial.number}")
    drawn = tab.run(SPECTRUM)
    assert len(drawn) == 2 * len(trial.runs)
    for run, losses, shares in zip(trial.runs, drawn[::2], drawn[1::2], strict=True):
        assert losses[0] == shares[0] == f"run of {run.run_kimg:,} kimg"
        kept = [k for k, loss in enumerate(losses[2]) if loss is not None]
        assert [losses[1][k] for k in kept] == pytest.approx(run.spectrum["sigma"], rel=1e-6)
        assert [losses[2][k] for k in kept] == pytest.approx(run.spectrum["loss"], rel=1e-6)
        assert losses[1] == shares[1]
        assert [shares[3][k] for k in kept] == run.spectrum["images"]
        assert sum(shares[2]) == pytest.approx(1.0)
        empty = [shares[3][k] for k in range(len(shares[3])) if k not in kept]
        assert empty == [0, 0, 0]  # one on either side, and the band that got no image
    nothing = next(t for t in view.trials if not t.runs)
    tab.run(GO, f"#trial-{nothing.number}")
    assert tab.run(SPECTRUM) is None
    assert errors(tab) == []


def test_dark_mode_repaints_page_and_figures(tab: Browser) -> None:
    light, dark = PALETTE["ink"]
    tab.run(GO, "#overview")
    tab.run(DRAW, "evidence")
    stroke = "return document.querySelector('#plot-evidence .yaxislayer-above text').style.fill"
    before = tab.run(stroke)
    tab.look(dark=True)
    tab.run("return new Promise(r => setTimeout(r, 150)).then(app.settled)")
    assert tab.run("return getComputedStyle(document.body).color") == colour(dark)
    assert before == colour(light)
    assert tab.run(stroke) == colour(dark)


def colour(code: str) -> str:
    """As browsers write it."""
    return f"rgb({int(code[1:3], 16)}, {int(code[3:5], 16)}, {int(code[5:7], 16)})"


def test_nothing_sticks_out_on_a_phone(tab: Browser, view: StudyView) -> None:
    tab.look(width=390, height=844)
    for name in (*tab.run(TABS), f"trial-{view.best}"):
        tab.run(GO, f"#{name}")
        assert tab.run("return document.documentElement.scrollWidth") <= 390, name


def test_all_of_it_is_printed_and_fits_the_sheet(tab: Browser, view: StudyView) -> None:
    """From the first screen: the table, the samples and the figures nobody has looked at."""
    tab.run(GO, "#overview")
    tab.look(dark=True)  # paper is light whatever the system is
    tab.paper(688)
    tab.run("return app.settled().then(() => 1)")
    try:
        assert tab.run("return document.documentElement.scrollWidth") <= 692  # a mark on the edge
        answers = "return document.querySelector('.first').getBoundingClientRect().bottom + scrollY"
        assert tab.run(answers) <= 940  # one sheet of A4 or Letter
        assert tab.run("return document.querySelectorAll('#table tbody tr').length") == 18
        assert tab.run("return document.querySelectorAll('#matrix li img').length") > 0
        sizes = tab.run(
            "return [...document.querySelectorAll('.plot')].filter(p => p.offsetParent)"
            ".map(p => [p.id, p.querySelector('.main-svg')?.getBoundingClientRect().right])"
        )
        assert len(sizes) >= 10
        assert [name for name, right in sizes if right is None or right > 689] == []
        stroke = "return document.querySelector('#plot-evidence .yaxislayer-above text').style.fill"
        assert tab.run(stroke) == colour(PALETTE["ink"][0])
    finally:
        tab.look()
        tab.run("dispatchEvent(new Event('afterprint'))")
    settled = "return new Promise(r => setTimeout(r, 300)).then(app.settled).then(() => "
    drawn = (
        settled + "[app.plot(arguments[0]).clientWidth, app.plot(arguments[0])._fullLayout.width])"
    )
    for name, panel in (("evidence", "overview"), ("timeline", "cost")):
        tab.run(GO, f"#{panel}")
        tab.run(f"document.getElementById('plot-{name}').scrollIntoView()")
        available, width = tab.run(drawn, name)
        assert width == available > 688, name  # and back to the screen's width


def test_a_trials_page_is_printed_alone(tab: Browser) -> None:
    tab.run(GO, "#trial-3")
    tab.paper(688)
    shown = "return [...document.querySelectorAll('.panel')].filter(p => p.offsetParent).length"
    assert tab.run(shown) == 1
    tab.run("dispatchEvent(new Event('afterprint'))")


def test_a_trials_figures_are_printed_light_and_as_wide_as_the_paper(
    tab: Browser, view: StudyView
) -> None:
    """From a dark screen."""
    look = (
        "return [...document.querySelectorAll('[data-panel=trial] .plot')]"
        ".map(p => [p._fullLayout?.width, p._fullLayout?.font.color])"
    )
    tab.look(dark=True)
    tab.run(GO, f"#trial-{view.best}")
    tab.run(SPECTRUM)
    tab.paper(688)
    printed = tab.run(f"return new Promise(r => setTimeout(r, 200)).then(() => {{{look}}})")
    assert [color for _, color in printed] == [PALETTE["ink"][0]] * 2
    assert all(width <= 688 for width, _ in printed)
    tab.look(dark=True)
    tab.run("dispatchEvent(new Event('afterprint'))")
    shown = tab.run(f"return new Promise(r => setTimeout(r, 200)).then(() => {{{look}}})")
    assert [color for _, color in shown] == [PALETTE["ink"][1]] * 2
    tab.look()


def test_a_saved_figure_is_light_on_white_from_a_dark_screen(tab: Browser) -> None:
    """As an SVG, with the part of it that is in sight."""
    tab.look(dark=True)
    tab.run(GO, "#overview")
    tab.run(DRAW, "progress-0")
    near = "{'xaxis.range': [0.01, 0.02]}"
    tab.run(f"return Plotly.relayout(app.plot('progress-0'), {near}).then(() => 1)")
    text = unquote(tab.run("return app.stillOf('progress-0', 'svg')"))
    tab.look()
    assert text.startswith("data:image/svg+xml")
    light, dark = PALETTE["ink"]
    assert colour(light) in text
    assert colour(dark) not in text
    assert colour("#ffffff") in text
    ticks = {float(found) for found in re.findall(r">(0\.0\d+)</text>", text)}
    assert len(ticks) > 2
    assert min(ticks) >= 0.01
    assert max(ticks) <= 0.02


def test_an_empty_selection_is_not_trial_0(tab: Browser) -> None:
    tab.run(GO, "#trials?pick=")
    assert tab.run("return [...app.state.pick]") == []
    tab.run(GO, "#trials?pick=0")
    assert tab.run("return [...app.state.pick]") == [0]
    tab.run("app.pick(null)")


def test_copy_and_keyboard(tab: Browser) -> None:
    tab.run(GO, "#reproduce")
    button = "document.querySelector('[data-panel=reproduce] [data-copy=yaml-best]')"
    tab.run(f"{button}.click()")
    later = f"return new Promise(r => setTimeout(() => r({button}.textContent), 100))"
    assert tab.run(later) == "Copied"
    controls = "document.querySelectorAll('a[href], button, input, select, .table, pre')"
    assert tab.run(f"return [...{controls}].every(control => control.tabIndex >= 0)")


def test_tabs_and_table_by_keyboard_alone(tab: Browser) -> None:
    walk_by_keyboard(tab)


def walk_by_keyboard(tab: Browser) -> None:
    """From the first screen to the table, and from there to a trial, without a mouse."""
    tab.run(GO, "#overview")
    tab.run("document.querySelector('[data-tab=overview]').focus()")
    tab.press("Tab")
    tab.press("Enter")
    assert tab.run(VIEW) == "trials"
    tab.run("document.querySelector('#table tbody a').focus()")
    tab.press("Enter")
    assert tab.run(VIEW) == "trial"


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
    for name in ("trials", "space", "curves", "stopping", "samples", "cost", "trial-4"):
        chromium.run(GO, f"#{name}")
    assert errors(chromium) == []
    assert chromium.run("return document.querySelectorAll('img[src=x]').length") == 0
    assert "alert(1)" in chromium.run(TEXT, TRIAL)
    assert "alert(1)" in chromium.run(TEXT, "[data-panel=stopping]")
    assert json.dumps(chromium.requests()).count("http") == 0


def test_two_hundred_parameters_have_a_canvas(chromium: Browser, tmp_path: Path) -> None:
    folder = write_many(tmp_path / "s", 30, parameters=200)
    chromium.look()
    chromium.open(build(folder.path, tmp_path / "reports"))
    for name in (*chromium.run(TABS), "trial-0"):
        chromium.run(GO, f"#{name}")
    chromium.run(GO, "#trials")
    axes = "return document.querySelectorAll('#plot-parallel .axis-brush').length"
    assert chromium.run(axes) == MOST + 2  # and the rung reached, and the value
    canvases = "[...document.querySelectorAll('#plot-parallel canvas')].map(c => c.width)"
    assert max(chromium.run(f"return {canvases}")) < 8192
    assert "170 parameters that seem to matter least" in chromium.run(TEXT, "#caption-parallel")
    assert errors(chromium) == []


def test_an_open_page_follows_the_study_and_keeps_its_place(
    chromium: Browser, tmp_path: Path
) -> None:
    early = write_study(tmp_path / "a", script=Script(pictures=False), until=60)
    page = build(early.path, tmp_path / "reports", live=True)
    chromium.look()
    chromium.open(page)
    chromium.run(GO, "#stopping")
    before = chromium.run("return app.trials.length")
    whole = write_study(tmp_path / "b", script=Script(pictures=False))
    assert build(whole.path, tmp_path / "reports") == page
    chromium.run("app.askForNewer()")
    deadline = time.monotonic() + 20
    while chromium.run(LENGTH) <= before:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert chromium.run(VIEW) == "stopping"


def test_a_page_that_is_not_the_newest_is_loaded_once(chromium: Browser, tmp_path: Path) -> None:
    """The writer was killed between the page and the word that there is a newer one, or the other
    way round: no page that loads itself for ever.
    """
    folder = write_study(tmp_path / "a", script=Script(pictures=False), until=60)
    page = build(folder.path, tmp_path / "reports", live=True)
    (page.parent / "stamp.js").write_text('ictsweepStamp("another");\n')
    chromium.look()
    chromium.open(page)
    for loads in (1, 0, 0):
        chromium.run("window.old = true; app.askForNewer()")
        time.sleep(1.5)
        assert bool(chromium.run("return window.old === true")) == (loads == 0)
