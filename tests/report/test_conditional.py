"""A study whose method is a choice: parameters that some trials do not have."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ictsweep.report import build, captions
from ictsweep.report.collect import collect
from ictsweep.report.drawings import drawings
from ictsweep.report.figures.importance import ENOUGH, importance_info
from ictsweep.report.figures.parallel import LACKING, draw_parallel, parallel_info
from ictsweep.report.figures.slices import draw_slice, slice_infos
from ictsweep.report.reproduce import commands, configuration, leader
from ictsweep.report.table import columns, frame, rows
from ictsweep.report.view import StudyView
from ictsweep.study.store import StudyFolder
from tests.report.fixture import Script, methods, write_study

SCALE, SHARE = "method.distance.c_scale", "method.endpoint.share"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    return write_study(tmp_path_factory.mktemp("s") / "methods", methods(), Script(pictures=False))


@pytest.fixture(scope="module")
def view(folder: StudyFolder) -> StudyView:
    return collect(folder)


def test_the_fixture_has_trials_of_every_kind(view: StudyView) -> None:
    kinds = {tuple(t.params) for t in view.trials}
    common = ("method.preset", "network.dropout", "method.pairs.density.mean")
    assert kinds == {
        (*common, SCALE), (*common, SCALE, SHARE), (*common, "method.endpoint.name")
    }  # fmt: skip


def test_a_trial_without_a_parameter_passes_its_axis_on_a_mark_below(view: StudyView) -> None:
    info = parallel_info(view)
    assert len(info.trials) == len(view.measured_at(32))  # nobody is left out
    assert info.lacking
    share = next(d for d in info.dimensions if d.path == SHARE)
    places = dict(zip(info.trials, share.places, strict=True))
    mark, text = share.ticks[0]
    assert text == LACKING
    assert share.low == mark < 0.2
    for trial in view.measured_at(32):
        assert places[trial.number] == pytest.approx(trial.params.get(SHARE, mark), abs=1e-6)
    scale = next(d for d in info.dimensions if d.path == SCALE)
    assert scale.ticks[0] == (scale.low, LACKING)
    assert scale.low < -4.0  # below log10 of the range's end
    dropout = next(d for d in info.dimensions if d.path == "network.dropout")
    assert LACKING not in dict(dropout.ticks).values()
    trace = draw_parallel(info).to_plotly_json()["data"][0]
    assert all(len(d["values"]) == len(info.trials) for d in trace["dimensions"])
    assert "A line at “—” has no such parameter." in drawings(view).parallel.caption  # type: ignore[union-attr]


def test_an_axis_that_no_measured_trial_has(view: StudyView) -> None:
    alone = replace(view, trials=tuple(t for t in view.trials if SHARE not in t.params))
    share = next(d for d in parallel_info(alone).dimensions if d.path == SHARE)
    assert set(share.places) == {share.low}
    assert draw_parallel(parallel_info(alone)).data
    infos = {info.axis.path: info for info in slice_infos(alone)}
    assert not any(cloud.trials for cloud in infos[SHARE].clouds)
    assert all(draw_slice(info).data for info in infos.values())


def test_a_slice_shows_the_trials_that_have_the_parameter(view: StudyView) -> None:
    info = next(i for i in slice_infos(view) if i.axis.path == SHARE)
    having = [t.number for t in view.measured_at(32) if SHARE in t.params]
    assert 0 < len(having) < len(view.measured_at(32))
    assert list(info.clouds[0].trials) == having
    assert info.baseline is None  # trial 0 is of another method
    other = next(t for t in view.trials if t.final and SHARE not in t.params)
    info = next(i for i in slice_infos(replace(view, best=other.number)) if i.axis.path == SHARE)
    assert info.best is None
    assert not draw_slice(info).layout.shapes  # type: ignore[union-attr]


def test_importance_compares_what_all_trials_have_and_says_so(view: StudyView) -> None:
    info = importance_info(view, resamples=5)
    assert info.trials >= ENOUGH
    assert info.trials == len(view.measured_at(32))
    assert {bar.path for bar in info.bars} == {
        "method.preset", "network.dropout", "method.pairs.density.mean"
    }  # fmt: skip
    assert sum(bar.share for bar in info.bars) == pytest.approx(1.0)
    text = captions.importance(info)
    assert f"Not compared, because only some trials have them: {SCALE}, {SHARE}, " in text


def test_the_table_has_a_dash_where_a_trial_has_no_such_parameter(view: StudyView) -> None:
    place = [column.name for column in columns(view)].index(SHARE)
    cells = {row.trial: row.cells[place] for row in rows(view)}
    for trial in view.trials:
        cell = cells[trial.number]
        if SHARE in trial.params:
            assert cell.key == trial.params[SHARE]
        else:
            assert (cell.text, cell.key) == ("—", None)
    table = frame(view).set_index("trial")
    assert table[SHARE].notna().sum() == sum(SHARE in t.params for t in view.trials)


def test_the_best_configuration_is_the_trials_own(folder: StudyFolder, tmp_path: Path) -> None:
    """The trial block with parameters put into it would mix the parts of two methods."""
    number = leader(collect(folder))
    whole = {"method": {"pairs": {"name": "continuous"}}, "budget_kimg": 288}
    place = folder.trial_dir(number)
    place.mkdir(parents=True, exist_ok=True)
    (place / "config.yaml").write_text(yaml.safe_dump({"seed": 1, "trial": whole}))
    view = collect(folder)
    assert yaml.safe_load(configuration(view, number)) == {"trial": whole}
    line = commands(view, number)[1][1]
    assert f"--set method.preset={view.trial(number).params['method.preset']}" in line


def test_the_page_is_written(folder: StudyFolder, tmp_path: Path) -> None:
    text = build(folder.path, tmp_path / "reports").read_text()
    assert "A parameter that belongs to one choice has points only for the trials" in text


@pytest.mark.parametrize("until", [2, 9, 40])
def test_every_figure_draws_at_any_moment(tmp_path: Path, until: int) -> None:
    script = Script(pictures=False)
    view = collect(write_study(tmp_path / "s", methods(), script, until=until))
    assert all(drawing.caption for drawing in drawings(view))
