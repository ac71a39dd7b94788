"""The further figures, by value: what was spent, what agrees, what is traded, where hours went."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from ictsweep.records import State
from ictsweep.report.collect import collect
from ictsweep.report.figures.agreement import FEWEST, agreement, agreements, draw_agreement, trusted
from ictsweep.report.figures.curves import MANY_TRIALS, curves_info
from ictsweep.report.figures.edf import MOST_STEPS, draw_edf, edf_info, steps
from ictsweep.report.figures.importance import importance_infos
from ictsweep.report.figures.maps import draw_map, map_infos
from ictsweep.report.figures.pareto import draw_pareto, pareto_infos, undominated
from ictsweep.report.figures.progress import draw_progress, progress_infos
from ictsweep.report.figures.slices import slice_infos
from ictsweep.report.figures.timeline import draw_timeline, timeline_info
from ictsweep.report.view import Point, Run, Scored, Stint, StudyView, TrialView
from ictsweep.study.spec import Limits
from tests.report.fixture import START, Script, write_study


def planted(view: StudyView, n: int, best_at: float = 0.5) -> StudyView:
    """n trials at rungs 32 and 96 whose value is lowest where dropout is `best_at`."""
    rng = np.random.default_rng(0)
    trials = []
    for i in range(n):
        dropout = round(0.05 * int(rng.integers(11)), 10)
        params = {**view.trials[0].params, "network.dropout": dropout}
        value = 20 + 40 * abs(dropout - best_at) + float(rng.normal()) * 0.5
        at = {32: Scored(value=value), 96: Scored(value=0.8 * value + float(rng.normal()))}
        points = (Point(kimg=32, scored=at[32], levels=11),)
        trials.append(
            TrialView(
                number=i, replicate_of=None, seed=i, state=State.PRUNED, params=params, at_rung=at,
                runs=(Run(run_kimg=32, points=points),),
            )
        )  # fmt: skip
    return replace(view, trials=tuple(trials), steps=(), best=None)


def test_spending_is_counted_in_four_ways(view: StudyView) -> None:
    hours, clock, trials, kimg = progress_infos(view)
    seconds = sum(t.train_s + t.evaluate_s for t in view.trials)
    assert hours.end == pytest.approx(seconds / 3600)
    assert hours.spending.menu == "trial-hours"
    assert clock.end == pytest.approx((view.updated - view.started) / 3600)  # type: ignore[operator]
    assert trials.end == len(view.trials)
    assert kimg.end == sum(t.kimg for t in view.trials)
    for info in (hours, clock, trials, kimg):
        assert [value for _, value in info.best][-1] == view.comparison.best  # type: ignore[union-attr]
        assert all(0 <= step.spent <= info.end + 1e-9 for step in info.searched)
        assert draw_progress(info).data
    gpus = replace(view, gpus=8.0)
    assert progress_infos(gpus)[0].end == pytest.approx(8 * seconds / 3600)
    assert progress_infos(gpus)[0].spending.menu == "GPU-hours"
    priced = replace(gpus, spec=replace(view.spec, limits=Limits(gpu_hour_price=2.5)))
    cost = progress_infos(priced)[4]
    assert cost.spending.menu == "cost"
    assert cost.end == pytest.approx(2.5 * 8 * seconds / 3600)
    assert [s.spent for s in cost.searched] == pytest.approx(
        [2.5 * s.spent for s in progress_infos(gpus)[0].searched]
    )


def test_agreement_is_kendalls_tau_of_those_with_both(view: StudyView) -> None:
    many = planted(view, 60)
    info = agreement(many, 32, 96)
    assert info.tau == pytest.approx(kendalltau(info.early_values, info.late_values).statistic)
    assert info.low is not None
    assert info.high is not None
    assert info.low < info.tau < info.high  # type: ignore[operator]
    assert (len(info.trials), info.stopped) == (60, 0)
    assert agreement(many, 32, 96) == info
    assert draw_agreement(info).data


def test_agreement_of_few_is_not_stated(view: StudyView) -> None:
    info = agreement(view, 32, 288)
    assert len(info.trials) < FEWEST
    assert info.tau is None
    assert info.stopped == len(view.measured_at(32)) - len(info.trials)
    assert [i.late for i in trusted(agreements(view))] == [288, 288]


def test_agreement_of_ties_is_not_stated(view: StudyView) -> None:
    many = planted(view, 10)
    same = tuple(
        replace(t, at_rung=dict.fromkeys((32, 96), Scored(value=1.0))) for t in many.trials
    )
    assert agreement(replace(many, trials=same), 32, 96).tau is None


def test_a_slice_has_medians_and_knows_an_edge(view: StudyView) -> None:
    infos = {i.axis.path: i for i in slice_infos(planted(view, 200, best_at=0.5))}
    dropout = infos["network.dropout"]
    assert dropout.edge == "high"
    assert dropout.bins is not None
    assert list(dropout.bins.places) == sorted(dropout.bins.places)
    assert dropout.bins.median[-1] < dropout.bins.median[0]
    assert all(a <= b <= c for a, b, c in zip(
        dropout.bins.low, dropout.bins.median, dropout.bins.high, strict=True
    ))  # fmt: skip
    inside = {i.axis.path: i for i in slice_infos(planted(view, 200, best_at=0.25))}
    assert inside["network.dropout"].edge == ""
    assert slice_infos(view)[0].bins is None  # 15 trials are too few


def test_maps_are_small_and_count_every_trial(view: StudyView) -> None:
    many = planted(view, 200)
    infos = list(map_infos(many, ["network.dropout", "method.distance.c_scale"]))
    assert len(infos) == 1
    info = infos[0]
    assert info.counts.sum() == 200
    assert max(info.counts.shape) <= 60
    assert np.isnan(info.ranks[info.counts == 0]).all()
    weighted = np.nansum(info.ranks * info.counts) / 200
    assert weighted == pytest.approx(0.5, abs=1e-3)
    assert draw_map(info).data


def test_distributions_per_rung(view: StudyView) -> None:
    info = edf_info(view)
    assert [edf.rung_kimg for edf in info.rungs] == [32, 96, 288]
    first = info.rungs[0]
    assert first.values == tuple(sorted(t.at_rung[32].value for t in view.measured_at(32)))
    seeds = [t.at_rung[288].value for t in view.trials if not t.searched]
    assert info.baseline[288] == pytest.approx(np.mean(seeds))
    assert draw_edf(info).data
    xs, ys = steps(tuple(float(i) for i in range(5000)))
    assert len(xs) == MOST_STEPS
    assert (xs[0], xs[-1], ys[-1]) == (0.0, 4999.0, 1.0)


def test_what_is_beaten_in_both() -> None:
    points = [(1.0, 5.0), (2.0, 4.0), (2.0, 6.0), (3.0, 4.0), (4.0, 1.0)]
    assert undominated(points) == (0, 1, 4)
    assert undominated([]) == ()


def test_trade_offs_hold_final_values_only(view: StudyView) -> None:
    infos = list(pareto_infos(view))
    done = {t.number for t in view.trials if t.final}
    assert [i.up.name.partition(",")[0] for i in infos] == [
        "fd_2step", "trial-hours of the trial"
    ]  # fmt: skip
    assert all(set(i.trials) == done for i in infos)
    assert view.best in {infos[0].trials[i] for i in infos[0].front}
    assert all(draw_pareto(i).data for i in infos)


def test_where_the_hours_went(view: StudyView) -> None:
    phases = {"startup_s": 60.0, "train_s": 1800.0, "evaluate_s": 600.0, "idle_s": 120.0}
    stints = (
        Stint(start=START, end=START + 2700, phases=phases),
        Stint(start=START + 3600, end=START + 4000, ending="preempted"),
    )
    one = replace(view, trials=(replace(view.trials[0], stints=stints),))
    info = timeline_info(one)
    assert info.totals == pytest.approx(
        {"start-up": 60, "training": 1800, "evaluation": 600, "waiting": 120, "not told apart": 520}
    )
    assert [(e.trial, e.what) for e in info.endings] == [(0, "preempted")]
    assert sum(3600 * (s.end_h - s.start_h) for s in info.stretches) == pytest.approx(3100)
    assert draw_timeline(info).data


def test_launches_of_the_log_are_stretches(tmp_path: Path) -> None:
    view = collect(write_study(tmp_path / "s", script=Script(pictures=False)))
    info = timeline_info(view)
    assert {s.trial for s in info.stretches} == {t.number for t in view.trials}
    assert {e.trial for e in info.endings} == {5, 13}


def test_many_curves_become_quantiles_and_the_best_few(view: StudyView) -> None:
    many = planted(view, MANY_TRIALS + 50)
    info = curves_info(many)
    assert info.trials == MANY_TRIALS + 49  # all but trial 0
    assert len({c.trial for c in info.curves}) == 20
    spread = info.spreads[0]
    values = [t.runs[0].points[0].scored.value for t in many.trials if t.number]
    assert spread.quantiles[0] == pytest.approx(np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]))
    assert spread.alive == (MANY_TRIALS + 49,)
    assert curves_info(view).spreads == ()


def test_importance_at_every_rung_and_among_the_best(view: StudyView) -> None:
    infos = list(importance_infos(planted(view, 80), resamples=3))
    assert [(i.rung_kimg, i.among_best, i.trials) for i in infos] == [
        (96, False, 80), (96, True, 20), (32, False, 80), (32, True, 20)
    ]  # fmt: skip
    assert infos[2].bars[0].path == "network.dropout"


def test_of_a_metric_of_which_more_is_better_the_front_is_above(view: StudyView) -> None:
    recalls = {t.number: 0.9 - 0.01 * i for i, t in enumerate(view.standing()) if t.final}
    trials = tuple(
        replace(t, others={"recall": Scored(value=recalls[t.number])}) if t.final else t
        for t in view.trials
    )
    info = next(iter(pareto_infos(replace(view, trials=trials))))
    assert info.up.rises
    assert [info.trials[i] for i in info.front] == [view.standing()[0].number]  # best in both


def test_what_may_not_be_compared_is_in_no_figure(tmp_path: Path) -> None:
    script = Script(pictures=False, passports={n: {"images": 100} for n in (3, 4)})
    view = collect(write_study(tmp_path / "s", script=script))
    odd = {3, 4}
    assert {t.number for t in view.trials if not t.comparable} == odd
    shown = {c.trial for c in curves_info(view).curves}
    shown |= {n for i in slice_infos(view) for cloud in i.clouds for n in cloud.trials}
    shown |= {n for i in agreements(view) for n in i.trials}
    shown |= {n for i in pareto_infos(view) for n in i.trials}
    shown |= {s.trial for i in progress_infos(view) for s in (*i.searched, *i.baseline)}
    assert shown
    assert not shown & odd
