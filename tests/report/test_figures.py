"""Figures: what they show, by value; that they draw; and that they stay small."""

import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import plotly.io as pio
import pytest

from ictsweep.records import State
from ictsweep.report import captions
from ictsweep.report.collect import collect
from ictsweep.report.drawings import drawings
from ictsweep.report.figures.curve_traces import draw_curves
from ictsweep.report.figures.curves import Band, curves_info
from ictsweep.report.figures.evidence import draw_evidence, evidence_info
from ictsweep.report.figures.importance import (
    ENOUGH,
    draw_importance,
    importance_info,
)
from ictsweep.report.figures.parallel import draw_parallel, parallel_info
from ictsweep.report.figures.progress import draw_progress, progress_info
from ictsweep.report.figures.slices import draw_slice, slice_infos
from ictsweep.report.theme import DARK_OF, PALETTE, log_marks
from ictsweep.report.view import Scored, StudyView, TrialView
from tests.report.fixture import Script, drawn, space, write_study


def test_each_short_run_is_a_curve_from_its_own_start(view: StudyView) -> None:
    info = curves_info(view)
    assert info.lengths == info.rungs == (32, 96, 288)
    best = [c for c in info.curves if c.trial == view.best]
    assert [c.kimg for c in best] == [(32,), (32, 64, 96), tuple(range(32, 289, 32))]
    assert best[-1].values[-1] == view.trial(best[0].trial).final.value  # type: ignore[union-attr]
    assert {c.trial for c in info.curves} == {
        t.number for t in view.trials if t.searched and t.runs
    }


def test_only_the_end_of_a_trial_is_marked_with_its_reason(view: StudyView) -> None:
    info = curves_info(view)
    for trial in (t for t in view.trials if t.searched and t.runs):
        marks = [c.mark for c in info.curves if c.trial == trial.number]
        assert marks[:-1] == [None] * (len(marks) - 1)
        assert marks[-1] is not None
    stopped = next(c for c in info.curves if c.label == "stopped" and c.mark)
    assert stopped.mark is not None
    assert "stopped at rung 32 kimg: " in stopped.mark
    assert "cut-off" in stopped.mark


def test_trial_0_is_a_band_over_its_seeds(view: StudyView) -> None:
    info = curves_info(view)
    finals = [t.final.value for t in view.trials if not t.searched and t.final]
    assert [band.run_kimg for band in info.bands] == [32, 96, 288]
    assert info.seeds == 3
    assert info.bands[-1].mean[-1] == pytest.approx(np.mean(finals))
    assert info.bands[-1].sd[-1] == pytest.approx(np.std(finals, ddof=1))
    assert isinstance(info.bands[0], Band)


def test_one_trace_per_panel_and_state(view: StudyView) -> None:
    """However many trials: the number of traces does not grow with them."""
    traces = draw_curves(curves_info(view)).to_plotly_json()["data"]
    assert len(traces) <= 3 * (2 + 2 * 4)
    shown = [trace["name"] for trace in traces if trace["showlegend"]]
    assert len(shown) == len(set(shown))


def test_same_run_has_one_panel(tmp_path: Path) -> None:
    spec = space(stopping={"first_rung_kimg": 32, "reduction": 3, "fidelity": "same_run"})
    info = curves_info(collect(write_study(tmp_path / "s", spec, Script(pictures=False))))
    assert (info.lengths, info.rungs) == ((288,), (32, 96, 288))
    assert len(draw_curves(info).layout.shapes) == 3  # type: ignore[union-attr]


def test_best_so_far_holds_final_values_only(view: StudyView) -> None:
    info = progress_info(view)
    assert {s.trial for s in (*info.searched, *info.baseline)} == {
        t.number for t in view.trials if t.state == State.COMPLETE
    }
    values = [value for _, value in info.best]
    assert values == sorted(values, reverse=True)
    assert values[-1] == view.comparison.best  # type: ignore[union-attr]
    assert info.spent_kimg == sum(t.kimg for t in view.trials)


def test_evidence(view: StudyView) -> None:
    info = evidence_info(view)
    assert [number for number, _ in info.baseline] == [0, 1, 2]
    assert view.best in dict(info.searched)
    assert info.luck == view.comparison.luck  # type: ignore[union-attr]
    draw_evidence(replace(info, luck=None, noise=None, best=None))


def _planted(view: StudyView, trials: int, signal: float) -> StudyView:
    """A study at one rung whose value follows the period alone, or nothing at all."""
    rng = random.Random(3)
    made = []
    for number in range(trials):
        params = {axis.path: drawn(axis, rng) for axis in view.spec.search}
        value = 20 + signal * params["method.pairs.steps.period"] + rng.gauss(0, 1)
        made.append(
            TrialView(
                number=number, replicate_of=None, seed=0, state=State.PRUNED, params=params,
                at_rung={32: Scored(value=value)},
            )
        )  # fmt: skip
    return replace(view, trials=tuple(made), steps=(), best=None)


def test_importance_finds_the_planted_parameter(view: StudyView) -> None:
    info = importance_info(_planted(view, 60, signal=400.0), resamples=15)
    first, *others = info.bars
    assert (info.rung_kimg, info.trials) == (32, 60)
    assert first.path == "method.pairs.steps.period"
    assert first.stands_out
    assert first.share > 0.5
    assert sum(bar.share for bar in info.bars) == pytest.approx(1.0)
    assert not any(bar.stands_out for bar in others)


def test_importance_of_nothing_does_not_stand_out(view: StudyView) -> None:
    info = importance_info(_planted(view, 60, signal=0.0), resamples=20)
    assert sum(bar.stands_out for bar in info.bars) <= 1  # one in twenty each


def test_importance_is_repeatable_and_says_at_which_rung(view: StudyView) -> None:
    info = importance_info(view, resamples=5)
    assert info == importance_info(view, resamples=5)
    assert (info.rung_kimg, info.trials) == (32, 15)
    assert info.quantile == pytest.approx(1 / 3)  # at least five of fifteen among the best
    assert {bar.path for bar in info.bars} == set(view.paths)
    assert all(bar.low <= bar.high for bar in info.bars)


def test_importance_above_the_first_rung_names_its_survivors(view: StudyView) -> None:
    planted = _planted(view, 20, signal=100.0)
    assert "let through" not in captions.importance(importance_info(planted, resamples=3))
    higher = tuple(replace(t, at_rung={**t.at_rung, 96: t.at_rung[32]}) for t in planted.trials)
    text = captions.importance(importance_info(replace(planted, trials=higher), resamples=3))
    assert "at the 96-kimg rung" in text
    assert "Only trials let through to this rung" in text


def test_importance_of_too_few_says_so(view: StudyView) -> None:
    few = replace(view, trials=view.trials[: ENOUGH + 1], steps=(), best=None)
    info = importance_info(few)
    assert info.trials < ENOUGH
    assert info.bars == ()
    assert drawings(few).importance is None
    assert captions.importance(info).startswith(f"Too few trials: {info.trials} measured at 32")


def test_parallel_coordinates_by_value(view: StudyView) -> None:
    info = parallel_info(view)
    measured = view.measured_at(32)
    assert info.trials == tuple(t.number for t in measured)
    assert info.missing == 1
    scale = next(d for d in info.dimensions if d.path == "method.distance.c_scale")
    expected = [math.log10(t.params["method.distance.c_scale"]) for t in measured]
    assert scale.places == pytest.approx(expected, abs=1e-6)
    assert (scale.low, scale.high) == (pytest.approx(-4), pytest.approx(math.log10(3e-3)))
    assert scale.ticks[0][1] == "0.0001"
    reached = next(d for d in info.dimensions if d.name == "reached (kimg)")
    assert set(reached.places) == {0.0, 2.0}
    order = dict(zip(info.trials, info.order, strict=True))
    best = min(measured, key=lambda t: t.at_rung[32].value)
    assert order[best.number] == 0.0
    trace = draw_parallel(info).to_plotly_json()["data"][0]
    assert sorted(trace["customdata"]) == sorted(info.trials)
    assert trace["customdata"][-1] == best.number  # drawn last: on top
    places = dict(zip(info.trials, scale.places, strict=True))
    drawn = next(d for d in trace["dimensions"] if d["label"] == scale.name)
    assert list(drawn["values"]) == [places[n] for n in trace["customdata"]]


def test_choices_and_flags_are_axes_too(tmp_path: Path) -> None:
    search = {
        "optimizer.batch": {"choices": [64, 128, 256]},
        "data.flip": {"choices": [True, False]},
        "network.dropout": {"range": [0.0, 0.5], "step": 0.05},
    }
    view = collect(write_study(tmp_path / "s", space(search=search), Script(pictures=False)))
    trials = tuple(
        replace(t, params={"optimizer.batch": 64, "data.flip": True, "network.dropout": 0.1})
        if not t.searched
        else t
        for t in view.trials
    )
    drawn = drawings(replace(view, trials=trials))
    assert drawn.parallel is not None
    assert drawn.importance is not None
    assert len(drawn.slices) == 3


def test_slices_by_value(view: StudyView) -> None:
    infos = slice_infos(view, order=("network.dropout",))
    assert infos[0].axis.path == "network.dropout"
    assert len(infos) == 5
    dropout = infos[0]
    assert [cloud.rung_kimg for cloud in dropout.clouds] == [32, 96, 288]
    assert dropout.baseline == 0.1
    assert view.best is not None
    assert dropout.best == (
        view.trial(view.best).params["network.dropout"],
        view.trial(view.best).final.value,  # type: ignore[union-attr]
    )


@pytest.mark.parametrize("until", [0, 3, 12, 60, None])
def test_every_figure_draws_at_any_moment(tmp_path: Path, until: int | None) -> None:
    view = collect(write_study(tmp_path / "s", script=Script(pictures=False), until=until))
    drawn = drawings(view)
    assert (drawn.curves is None) == (not any(t.runs for t in view.trials))
    assert all(drawing.caption and drawing.height for drawing in drawn)
    assert len({drawing.id for drawing in drawn}) == len(list(drawn))


def test_identical_values_everywhere(view: StudyView) -> None:
    same = Scored(value=20.0, error=0.5)
    trials = tuple(
        replace(t, at_rung=dict.fromkeys(t.at_rung, same), final=same if t.final else None)
        for t in view.trials
    )
    flat = replace(view, trials=trials)
    for fig in (draw_parallel(parallel_info(flat)), draw_progress(progress_info(flat))):
        assert fig.data
    assert all(draw_slice(info).data for info in slice_infos(flat))
    assert draw_importance(importance_info(flat, resamples=3)).data


def test_a_figure_grows_slowly_with_the_trials(view: StudyView) -> None:
    """1,000 trials at one rung: the parallel coordinates and a slice stay below 200 kB each."""
    many = _planted(view, 1000, signal=100.0)
    assert len(pio.to_json(draw_parallel(parallel_info(many))) or "") < 200_000
    assert len(pio.to_json(draw_slice(slice_infos(many)[0])) or "") < 60_000


def test_palette_can_be_swapped() -> None:
    """The page replaces light colours by dark ones in the figures' text: each must be unique."""
    assert len(DARK_OF) == len(PALETTE)
    assert not set(DARK_OF) & set(DARK_OF.values())


def test_log_marks_are_few_and_round() -> None:
    assert log_marks(15, 300) == pytest.approx([20, 50, 100, 200])
    assert log_marks(1e-6, 1.0, most=5) == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 1e-1])
    assert len(log_marks(1e-30, 1e30)) <= 7
