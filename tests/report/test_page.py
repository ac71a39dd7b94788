"""The page: complete, self-contained, escaped, replaced whole, and without a trace in the study."""

import hashlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import yaml
from plotly.offline import get_plotlyjs, get_plotlyjs_version

from ictsweep.report import build
from ictsweep.report.collect import collect
from ictsweep.report.reproduce import commands, configuration, leader
from ictsweep.report.samples import picture
from ictsweep.report.table import frame, states
from ictsweep.report.view import StudyView
from ictsweep.study.spec import spec_from_dict
from ictsweep.study.store import StudyFolder
from tests.report.fixture import PASSPORT, Script, space, write_study
from tests.report.reading import (
    column,
    data_of,
    points_of_page,
    spectra_of_page,
    trials_of_page,
)

PLOTLY = f"plotly-{get_plotlyjs_version()}.min.js"


class Reader(HTMLParser):
    """What a page says: its text outside scripts, its elements, what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._script = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._script = self._script and tag not in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._script:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words).replace("\u2060", ""))

    def having(self, name: str) -> list[str]:
        """The values of an attribute, in order."""
        return [value for _, attrs in self.elements if (value := attrs.get(name)) is not None]


@pytest.fixture(scope="module")
def read(page: Path) -> Reader:
    """The standard study's page."""
    return Reader(page.read_text())


def test_every_trial_is_in_the_table_and_in_the_samples(page: Path, view: StudyView) -> None:
    data = data_of(page.read_text())
    assert sorted(data["table"]["numbers"]) == [t.number for t in view.trials]
    assert {int(n) for n in data["pictures"]} == {t.number for t in view.trials if t.runs}
    assert [trial["n"] for trial in data["trials"]] == [t.number for t in view.standing()]


def test_the_numbers_are_those_of_the_log(page: Path, study: StudyFolder) -> None:
    """Every value that the log has and nothing else, counted from its raw lines."""
    logged = {}
    for line in (study.path / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["kind"] == "measure":
            data = event["data"]
            place = event["trial"], data["run_kimg"], data["kimg"]
            logged.setdefault(place, data["values"]["fd"])
    assert points_of_page(page) == logged
    last = {}
    for (trial, run, kimg), value in logged.items():
        if kimg == run:
            last[trial] = value
    seeds = {trial["n"]: trial["seed"] for trial in data_of(page.read_text())["trials"]}
    assert seeds == {record.number: str(record.seed) for record in study.trials()}
    shown = {n: value for n, (_, value) in trials_of_page(page).items() if value == value}
    assert shown == last
    assert len(shown) == 17  # one of 18 failed before its first value


def test_every_number_of_an_evaluation_is_the_logs(page: Path, study: StudyFolder) -> None:
    """Errors, N, stages, losses and gradients, two-step values and the loss by noise level, against
    the log's raw lines: float32 where the page has float32.
    """
    found = {
        name: points_of_page(page, name) for name in ("error", "levels", "stage", "loss", "grad")
    }
    ends, second = {}, {}
    for line in (study.path / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["kind"] != "measure":
            continue
        data, trial = event["data"], event["trial"]
        place = trial, data["run_kimg"], data["kimg"]
        assert found["error"].pop(place) == pytest.approx(data["errors"]["fd"], rel=1e-6)
        assert found["levels"].pop(place) == data["levels"]
        assert found["stage"].pop(place) == data["stage"]
        assert found["loss"].pop(place) == pytest.approx(data["loss"], rel=1e-6)
        assert found["grad"].pop(place) == pytest.approx(data["grad_norm"], rel=1e-6)
        ends[trial, data["run_kimg"]] = data["spectrum"]
        if data["kimg"] == study.spec().rungs[-1]:
            second[trial] = data["values"]["fd_2step"]
    assert not any(found.values())
    shown = spectra_of_page(page)
    assert shown.keys() == ends.keys()
    for place, spectrum in ends.items():
        for key, values in spectrum.items():
            assert shown[place][key] == pytest.approx(values, rel=1e-6)
    table = data_of(page.read_text())["table"]
    (last,) = [c for c in table["columns"] if c["head"] == "final fd_2step"]
    values = dict(zip(table["numbers"], column(last["keys"]), strict=True))
    assert {n: value for n, value in values.items() if value == value} == second


def test_states_shown_are_those_counted(read: Reader, view: StudyView) -> None:
    shown = dict(
        zip(
            read.having("data-state"),
            re.findall(r"(\d+) (?=complete|stopped|running|failed)", read.text),
            strict=False,
        )
    )
    assert {name: int(n) for name, n in shown.items()} == {name: n for name, n, _ in states(view)}
    assert "stopped (1 diverged)" in read.text


def test_every_figure_is_there(read: Reader) -> None:
    ids = {value for value in read.having("id") if value.startswith("plot-")}
    names = (
        "evidence", "curves", "parallel", "edf", "timeline", "importance-0",
        *(f"progress-{i}" for i in range(4)), *(f"pareto-{i}" for i in range(2)),
        *(f"slice-{i}" for i in range(5)), *(f"map-{i}" for i in range(6)),
        *(f"agreement-{i}" for i in range(3)),
    )  # fmt: skip
    assert ids == {f"plot-{name}" for name in names}


def test_every_stop_is_told_with_its_reason(read: Reader, view: StudyView) -> None:
    stopped = [t for t in view.trials if t.cards and t.cards[-1].reason.startswith("not among")]
    assert len(stopped) > 5
    for trial in stopped:
        card = trial.cards[-1]
        assert f"rank {card.rank} of {card.of}" in read.text
    assert "Trial 13 diverged at rung 96 kimg: loss inf" in read.text
    assert "shape mismatch" in read.text


def test_the_value_has_its_own_name(page: Path, read: Reader) -> None:
    assert PASSPORT["metric"] in read.text
    assert not re.search(r"\bFID\b", read.text)


def test_self_contained(page: Path, read: Reader) -> None:
    """Nothing is loaded from anywhere: only links to click point outside the page."""
    beside = [src for src in read.having("src") if not src.startswith("data:")]
    assert beside == [f"../{PLOTLY}"]
    assert (page.parent / beside[0]).read_text() == get_plotlyjs()
    links = [attrs["href"] for tag, attrs in read.elements if tag == "link"]
    assert links == ["data:,"]
    assert page.stat().st_size < 1_000_000


def test_a_single_file_needs_nothing_beside_it(study: StudyFolder, tmp_path: Path) -> None:
    page = build(study.path, tmp_path, single_file=True)
    read = Reader(page.read_text())
    assert all(src.startswith("data:") for src in read.having("src"))
    assert get_plotlyjs() in page.read_text()
    assert not list(tmp_path.glob("plotly*"))


def test_the_library_is_written_once(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study", script=Script(pictures=False), until=20)
    build(folder.path, tmp_path / "reports")
    library = tmp_path / "reports" / PLOTLY
    before = library.stat().st_mtime_ns
    build(folder.path, tmp_path / "reports")
    assert library.stat().st_mtime_ns == before
    assert len(list((tmp_path / "reports").glob("plotly*"))) == 1


def test_headings_alternatives_and_language(read: Reader) -> None:
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    pictures = [attrs for tag, attrs in read.elements if tag == "img"]
    assert all(attrs.get("alt") for attrs in pictures if attrs.get("id") != "blink-image")
    assert ("html", {"lang": "en"}) in read.elements
    ids = read.having("id")
    assert len(ids) == len(set(ids))
    assert set(read.having("aria-labelledby")) <= set(ids)


def test_the_table_as_a_frame(view: StudyView) -> None:
    data = frame(view)
    assert len(data) == len(view.trials)
    assert isinstance(data, pd.DataFrame)
    finals = data.dropna(subset="final").set_index("trial")["final"].to_dict()
    assert finals == {t.number: t.final.value for t in view.trials if t.final}


def test_reproduce_the_best(view: StudyView) -> None:
    best = leader(view)
    assert best == view.best
    block = yaml.safe_load(configuration(view, best))["trial"]
    params = view.trial(best).params
    assert block["method"]["preset"] == "ict"
    assert block["method"]["pairs"]["steps"]["period"] == params["method.pairs.steps.period"]
    assert block["network"] == {"preset": "tiny", "dropout": params["network.dropout"]}
    line = commands(view, best)[1][1]
    assert line.startswith("ictsweep train study.yaml")
    assert f"--set network.dropout={params['network.dropout']}" in line
    spec_from_dict({**space(), "trial": block})  # it is a search space's trial block


def test_the_study_is_only_read(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study")

    def state() -> dict[str, str]:
        files = (p for p in folder.path.rglob("*") if p.is_file())
        return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    before = state()
    build(folder.path, tmp_path / "reports")
    assert state() == before


def test_reports_are_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_study(tmp_path / "study", until=30)
    page = build(folder.path, tmp_path / "reports")
    before = page.read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        build(folder.path, tmp_path / "reports")
    assert page.read_bytes() == before
    assert [p.name for p in page.parent.iterdir() if p.suffix == ".html"] == ["index.html"]


def test_the_list_of_studies(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    for name in ("first", "second"):
        build(write_study(tmp_path / name, space(study=name), Script(pictures=False)).path, reports)
    (reports / "broken").mkdir()
    (reports / "broken" / "summary.json").write_text("{")
    (reports / "strange").mkdir()
    (reports / "strange" / "summary.json").write_text('{"updated": 1}')
    build(tmp_path / "first", reports)
    listed = Reader((reports / "index.html").read_text())
    links = [h for h in listed.having("href") if h.endswith("index.html")]
    assert links == ["first/index.html", "second/index.html", "strange/index.html"]
    assert "16 configurations" in listed.text
    assert json.loads((reports / "first" / "summary.json").read_text())["study"] == "first"


HOSTILE = "x</script><script>alert(1)</script>\"'<img src=x onerror=alert(2)>{{ 7*7 }} \u202eevil"


def test_hostile_text_is_only_text(tmp_path: Path) -> None:
    path = HOSTILE.replace(".", "")
    search = {path: {"choices": [HOSTILE, "b"]}, "network.dropout": {"range": [0.0, 0.5]}}
    script = Script(
        fail={4: f"bug: {HOSTILE}"}, diverge=frozenset(),
        passports={n: {"metric": HOSTILE} for n in range(30)},
    )  # fmt: skip
    manifest = {HOSTILE: HOSTILE}
    folder = write_study(tmp_path / "study", space(search=search), script, manifest=manifest)
    text = build(folder.path, tmp_path / "reports").read_text()
    read = Reader(text)
    assert "alert(1)" in read.text
    assert "{{ 7*7 }}" in read.text
    assert not any("alert(" in script for script in _programs(text))
    assert not read.having("onerror")
    assert [src for src in read.having("src") if not src.startswith("data:")] == [f"../{PLOTLY}"]
    assert sum(tag == "script" for tag, _ in read.elements) == 2 + len(
        [i for i in read.having("id") if i.startswith("data-") or i in ("dark", "study")]
    )
    assert data_of(text)["table"]["columns"][-1]["texts"]


def _programs(text: str) -> list[str]:
    """The scripts that run."""
    return re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)


def test_half_a_surrogate_pair_does_not_break_the_page(tmp_path: Path) -> None:
    script = Script(fail={4: "bug: \ud800"}, pictures=False)
    folder = write_study(tmp_path / "study", script=script)
    assert build(folder.path, tmp_path / "reports").exists()


@pytest.mark.parametrize("until", [0, 2, 40])
def test_a_page_at_any_moment(tmp_path: Path, until: int) -> None:
    folder = write_study(tmp_path / "study", until=until)
    page = build(folder.path, tmp_path / "reports")
    assert len(data_of(page.read_text())["trials"]) == len(collect(folder).trials)


def test_missing_and_broken_pictures(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study")
    pictures = sorted(folder.path.glob("trials/*/samples/*.png"))
    pictures[0].unlink()
    pictures[1].write_bytes(b"not a picture")
    assert picture(pictures[0]) is None
    assert picture(pictures[1]) is None
    data = data_of(build(folder.path, tmp_path / "reports").read_text())
    missing = {str(int(p.parts[-3])) for p in pictures[:2]}
    assert len(missing) == 2
    assert not missing & set(data["pictures"])
    assert len(data["pictures"]) == len(pictures) - 2


def test_pictures_are_cut_not_blurred() -> None:
    assert picture(None) is None


def test_thumbnails_are_bounded(study: StudyFolder) -> None:
    path = next(study.path.glob("trials/*/samples/*.png"))
    whole, part = picture(path), picture(path, limit=40)
    assert whole is not None
    assert part is not None
    assert (whole.width, whole.height, whole.magnified) == (64, 64, True)
    assert (part.width, part.height) == (32, 32)


def test_the_report_needs_neither_torch_nor_ray(study: StudyFolder, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'ray', 'torchvision', 'cleanfid'):\n"
        "            raise ImportError('blocked: ' + name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "from pathlib import Path\n"
        "from ictsweep.report import build\n"
        "print(build(Path(sys.argv[1]), Path(sys.argv[2])))\n"
    )
    command = [sys.executable, "-c", program, str(study.path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("index.html")
    assert done.stderr == ""
