"""Studies side by side: only where they may be compared, and then what is said is so."""

from dataclasses import replace
from pathlib import Path

import pytest

from ictsweep.errors import UserError
from ictsweep.report import build, build_comparison
from ictsweep.report.collect import collect
from ictsweep.report.compare import comparison_info
from ictsweep.report.versus import shift_lanes
from ictsweep.report.view import Scored, StudyView
from ictsweep.study.store import StudyFolder
from tests.report.fixture import Script, space, write_study
from tests.report.test_page import Reader


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The standard study with another seed and name."""
    path = tmp_path_factory.mktemp("studies") / "other"
    return write_study(path, space(study="other", seed=5), Script(pictures=False)).path


@pytest.fixture(scope="module")
def second(other: Path) -> StudyView:
    return collect(StudyFolder.open(other))


def test_results_differences_and_costs(view: StudyView, second: StudyView) -> None:
    info = comparison_info([view, second])
    assert info.names == ("digits", "other")
    assert [row.trial for row in info.rows] == [view.best, second.best]
    assert view.best is not None
    assert second.best is not None
    best, theirs = view.trial(view.best).final, second.trial(second.best).final
    assert best is not None
    assert theirs is not None
    assert info.differences[0].value == pytest.approx(best.value - theirs.value)
    assert info.rung_kimg == 288
    assert [len(edf.values) for edf in info.edfs if edf] == [
        len(view.measured_at(288)), len(second.measured_at(288))
    ]  # fmt: skip
    assert info.threshold == max(best.value, theirs.value)
    for cost, progress in zip(info.costs, info.progress, strict=True):
        assert cost is not None
        assert 0 < cost <= progress.end + 1e-9
    assert info.notes == ()


def test_a_difference_within_the_noise_is_a_tie(view: StudyView) -> None:
    assert view.best is not None
    final = view.trial(view.best).final
    assert final is not None

    def with_best(value: float) -> StudyView:
        changed = replace(view.trial(view.best or 0), final=Scored(value=value, error=0.1))
        trials = tuple(changed if t.number == view.best else t for t in view.trials)
        return replace(view, trials=trials, noise=None)

    near = comparison_info([with_best(10.0), with_best(10.1)]).differences[0]
    assert near.width == pytest.approx(1.96 * 0.1 * 2**0.5, rel=1e-3)
    assert near.text.startswith("digits and digits (2) are tied: 0.10 ± 0.28 apart")
    far = comparison_info([with_best(10.0), with_best(12.0)]).differences[0]
    assert far.text == "digits is lower than digits (2) by 2.00 ± 0.28 (95 %)"


def test_passports_are_not_mixed(tmp_path: Path, view: StudyView) -> None:
    script = Script(pictures=False, passports={n: {"images": 100} for n in range(30)})
    odd = write_study(tmp_path / "odd", space(study="odd"), script)
    with pytest.raises(UserError, match="images 100 where the study has 1000") as error:
        comparison_info([view, collect(odd)])
    assert "may not be compared" in str(error.value)
    empty = write_study(tmp_path / "empty", space(study="empty"), until=1)
    with pytest.raises(UserError, match="study empty: nothing was measured"):
        comparison_info([view, collect(empty)])


def test_a_refusal_tells_two_studies_of_one_name_apart(tmp_path: Path, view: StudyView) -> None:
    script = Script(pictures=False, passports={n: {"images": 100} for n in range(30)})
    odd = write_study(tmp_path / "odd", script=script)
    with pytest.raises(UserError, match=r"studies digits and digits \(2\) were measured in diff"):
        comparison_info([view, collect(odd)])


def test_different_budgets_are_said(tmp_path: Path, view: StudyView) -> None:
    trial = {**space()["trial"], "budget_kimg": 96}
    short = write_study(tmp_path / "s", space(study="short", trial=trial), Script(pictures=False))
    info = comparison_info([view, collect(short)])
    assert "The full budgets differ (digits 288 kimg, short 96 kimg)" in info.notes[0]
    assert info.rung_kimg == 96
    assert info.survivors  # of the long study, whose first rung is at 32


def test_where_the_good_values_are(view: StudyView, second: StudyView) -> None:
    info = comparison_info([view, second])
    assert {shift.path for shift in info.shifts} == set(view.paths)
    for shift in info.shifts:
        lanes = shift_lanes(shift)
        marks = [mark for lane in lanes.lanes for mark in lane.marks]
        assert len(marks) == 2
        assert [
            mark.text.rpartition(" median ")[2].split(" of the best ")[1] for mark in marks
        ] == [which for *_, which in shift.middles]
        assert all(0 <= mark.low <= mark.at <= mark.high <= 100 for mark in marks)


def test_the_page(study, other: Path, tmp_path: Path) -> None:
    build(study.path, tmp_path)
    page = build_comparison([study.path, other], tmp_path)
    assert page == tmp_path / "compare-digits-other" / "index.html"
    read = Reader(page.read_text())
    assert {"plot-edf", "plot-costs"} <= set(read.having("id"))
    assert "../digits/index.html" in read.having("href")
    listed = Reader((tmp_path / "index.html").read_text())
    assert "compare-digits-other/index.html" in listed.having("href")
    info = comparison_info([collect(study), collect(StudyFolder.open(other))])
    assert "".join(info.differences[0].text.split()) in "".join(listed.text.split())
    studies = [href for href in listed.having("href") if href.endswith("/index.html")]
    assert studies == [
        *["digits/index.html"] * (len(studies) - 1),
        "compare-digits-other/index.html",
    ]
    alone = build_comparison([study.path, other], tmp_path / "alone", single_file=True)
    assert all(src.startswith("data:") for src in Reader(alone.read_text()).having("src"))
