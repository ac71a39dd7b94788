"""Scores over draws and differences of two checkpoints: the evaluator's own numbers, whatever kills
come between; never the smallest."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from ictsweep.cli.tables import _bound, difference_table, result_table
from ictsweep.config import trial_config
from ictsweep.data import DataConfig, load
from ictsweep.errors import UserError
from ictsweep.evaluation import Estimate, difference, frechet_infinity
from ictsweep.scoring import draw as module
from ictsweep.scoring.draw import score_draw
from ictsweep.scoring.evaluate import (
    Paired,
    below_dimension,
    check_comparable,
    compare,
    evaluate,
    place_of,
    read_result,
)
from ictsweep.scoring.judge import Judge, Wanted, cache_of
from ictsweep.scoring.subject import Subject
from ictsweep.scoring.work import load_tensors, save_tensors
from ictsweep.seeds import derive_seed
from ictsweep.training.precision import tf32
from tests.scoring.conftest import at_work, done

FEW = Wanted(images=600, metrics=("fd", "recall"))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk for each batch: 600 samples are three."""
    monkeypatch.setattr(module, "CHUNK", 256)


def judge_of(run: Path, wanted: Wanted = FEW, seed: int = 0) -> Judge:
    judge = Judge.of(Subject.of(run), wanted, seed)
    done(judge.ready())
    return judge


def scored(judge: Judge, draws: int = 2):
    done(evaluate(judge, draws))
    return read_result(judge, draws)


def older(run: Path) -> Path:
    return run / "checkpoints" / "000002-000001"


def test_checkpoints_of_a_run_do_not_read_each_others_scores(run: Path) -> None:
    newest, before = scored(judge_of(run), 1), scored(judge_of(older(run)), 1)
    assert newest.path != before.path
    assert newest.summary["fd"].values != before.summary["fd"].values


def test_each_draw_is_what_the_evaluator_gives_on_its_latents(
    run: Path, small_chunks: None
) -> None:
    """In one pass and without files, on the seed's latents and on those of the second draw."""
    judge = judge_of(run)
    result = scored(judge)
    assert [draw.seed for draw in result.draws] == [0, derive_seed(0, "draw", 1)]
    assert len(result.summary) == 4
    for draw in result.draws:
        evaluator = replace(judge.evaluator, seed=draw.seed)
        with tf32(False):
            alone = evaluator(judge.subject.samplers(), judge.subject.routes())
        values = {key: e.value for key, e in draw.estimates.items()}
        assert values == pytest.approx(alone.values, rel=1e-9)
        assert {k: e.error for k, e in draw.estimates.items()} == pytest.approx(alone.errors)
        assert draw.passports == json.loads(json.dumps(alone.passports))
    assert result.draws[0].passports["fd"]["latent_seed"] == 0


def test_the_run_was_evaluated_on_the_first_draws_latents(trained: Path, run: Path) -> None:
    """The number of training, again: 128 samples, the seed of the run."""
    judge = judge_of(run, Wanted())
    first = scored(judge, 1).draws[0].estimates["fd"]
    with tf32(False):
        alone = judge.evaluator(judge.subject.samplers(), judge.subject.routes())
    assert first.value == pytest.approx(alone.values["fd"], rel=1e-9)


def test_mean_and_spread_are_over_the_draws_and_never_the_smallest(run: Path) -> None:
    result = scored(judge_of(run), 3)
    values = [draw.estimates["fd"].value for draw in result.draws]
    summary = result.summary["fd"]
    assert summary.mean == pytest.approx(np.mean(values))
    assert summary.spread == pytest.approx(np.std(values, ddof=1))
    facts = json.loads(result.path.read_text())
    assert facts["summary"]["fd"]["mean"] == pytest.approx(np.mean(values))
    assert facts["summary"]["fd"]["values"] == values
    assert [d["seed"] for d in facts["draws"]] == [draw.seed for draw in result.draws]
    text = result_table(result)
    assert re.search(
        rf"^fd +{np.mean(values):.4g}   spread {np.std(values, ddof=1):.2g},", text, re.M
    )
    assert all(f"{value:.4g} ± " in text for value in values)
    assert re.search(r"^recall .*higher is better$", text, re.M)
    assert "min" not in text


def test_more_draws_add_to_those_before(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = judge_of(run)
    first = scored(judge, 1).draws[0].estimates["fd"].value
    sampled: list[int] = []
    sample = module._sample
    monkeypatch.setattr(
        module, "_sample", lambda j, *rest: sampled.append(j.evaluator.seed) or sample(j, *rest)
    )
    again = scored(judge, 2)
    assert again.draws[0].estimates["fd"].value == first
    assert set(sampled) == {derive_seed(0, "draw", 1)}


def test_a_kill_anywhere_gives_the_same_number(
    run: Path, small_chunks: None, tmp_path: Path
) -> None:
    judge = judge_of(run)
    done(score_draw(judge, tmp_path / "whole"))
    for stop in range(1, 7):
        at_work(score_draw(judge, tmp_path / "torn"), stop)
        assert not (tmp_path / "torn" / "draw.json").exists()
    torn = tmp_path / "torn" / "features-2-00000256.pt"
    torn.write_bytes(torn.read_bytes()[:-3])  # a power cut
    steps = done(score_draw(judge, tmp_path / "torn"))
    assert steps[-1].done == steps[-1].total == 1200
    whole, again = ((tmp_path / name / "draw.json").read_text() for name in ("whole", "torn"))
    assert whole == again
    assert not list((tmp_path / "torn").glob("features-*"))  # they are large
    a, b = (load_tensors(tmp_path / name / "influence.pt") for name in ("whole", "torn"))
    assert a is not None
    assert b is not None
    assert a.keys() == b.keys() >= {"fd", "fd_2step"}
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_features_that_are_safe_are_used(run: Path, small_chunks: None, tmp_path: Path) -> None:
    """A chunk changed by hand changes the number: it was read, not made again."""
    judge = judge_of(run)
    done(score_draw(judge, tmp_path / "a"))
    at_work(score_draw(judge, tmp_path / "b"), 2)
    path = tmp_path / "b" / "features-1-00000000.pt"
    features = load_tensors(path)
    assert features is not None
    save_tensors(path, {"features": features["features"] * 1.5})
    done(score_draw(judge, tmp_path / "b"))
    a, b = (json.loads((tmp_path / name / "draw.json").read_text())["values"] for name in "ab")
    assert a["fd"] != b["fd"]
    assert a["fd_2step"] == b["fd_2step"]


def test_a_real_kill_of_the_command(run: Path, tmp_path: Path) -> None:
    """kill -9 between two chunks, then the same command: the number of one that was not killed."""
    call = [sys.executable, "-m", "ictsweep", "evaluate", str(run), "--images", "6144"]
    call += ["--draws", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(call, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(run.glob("evaluations/*/*/features-*.pt")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = list(run.glob("evaluations/*/*/features-*.pt"))
    assert 1 <= len(kept) < 6
    assert not list(run.glob("evaluations/*/*/draw.json"))
    again = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    (place,) = run.glob("evaluations/*/result.json")
    found = json.loads(place.read_text())["summary"]["fd"]["mean"]
    judge = judge_of(run, Wanted(images=6144))
    done(score_draw(judge, tmp_path / "whole"))
    assert json.loads((tmp_path / "whole/draw.json").read_text())["values"]["fd"] == found
    assert f"{found:.4g}" in again.stdout


def test_a_paired_difference_has_a_smaller_error(run: Path) -> None:
    new, old = scored(judge_of(run)), scored(judge_of(older(run)))
    found = compare(new, old)
    assert found.keys() == new.summary.keys()
    for key in ("fd", "fd_2step"):
        pairs = list(zip(new.draws, old.draws, strict=True))
        values = [a.estimates[key].value - b.estimates[key].value for a, b in pairs]
        assert found[key].difference.value == pytest.approx(np.mean(values))
        assert found[key].unpaired.value == found[key].difference.value
        errors = [difference(a.estimates[key], b.estimates[key]).error for a, b in pairs]
        expected = np.sqrt(np.sum(np.square(errors))) / 2
        assert found[key].difference.error == pytest.approx(expected)
        assert found[key].difference.error < 0.8 * found[key].unpaired.error
    text = difference_table(found)
    assert re.search(r"fd +[+-][\d.]+   same latents [+-].* to .*   other latents [+-]", text)


def test_a_checkpoint_does_not_differ_from_itself(run: Path) -> None:
    result = scored(judge_of(run))
    same = compare(result, result)["fd"]
    assert (same.difference.value, same.difference.error) == (0.0, 0.0)
    assert same.unpaired.error > 0
    assert "includes 0" in difference_table({"fd": same})


def test_the_difference_means_what_it_says(run: Path) -> None:
    """Over draws of other latents it scatters as its error says, far less than the numbers do."""
    wanted = Wanted(images=600, metrics=("fd",))
    new, old = scored(judge_of(run, wanted), 8), scored(judge_of(older(run), wanted), 8)
    pairs = [
        difference(a.estimates["fd"], b.estimates["fd"])
        for a, b in zip(new.draws, old.draws, strict=True)
    ]
    scatter = np.std([pair.value for pair in pairs], ddof=1)
    assert 0.4 < scatter / np.mean([pair.error for pair in pairs]) < 2
    assert scatter < 0.8 * new.summary["fd"].spread


def test_other_passports_are_refused_with_the_difference_named(run: Path) -> None:
    mine = judge_of(run)
    with pytest.raises(UserError, match="images: 600 and 700"):
        check_comparable(mine, judge_of(run, replace(FEW, images=700)))
    with pytest.raises(UserError, match="latent_seed: 0 and 1"):
        check_comparable(mine, judge_of(run, seed=1))
    with pytest.raises(UserError, match=r"measured by fd, recall, .* by fd, fd_2step"):
        check_comparable(mine, judge_of(run, Wanted(images=600)))
    few = judge_of(run, Wanted(images=64))
    with pytest.raises(
        UserError,
        match=r"^fd, fd_2step: a Fréchet distance of 64 samples with 64 features is below",
    ):
        check_comparable(few, few)
    check_comparable(mine, judge_of(older(run)))


def test_below_dimension_the_other_metrics_are_compared(run: Path) -> None:
    wanted = Wanted(images=64, metrics=("fd", "kd"))
    new, old = judge_of(run, wanted), judge_of(older(run), wanted)
    check_comparable(new, old)
    found = compare(scored(new, 1), scored(old, 1))
    assert list(found) == ["kd", "kd_2step"]
    text = difference_table(found, below_dimension(new))
    assert re.search(r"^  fd, fd_2step: .* below its dimension .*; draw more than 64", text, re.M)
    assert below_dimension(judge_of(run)) == ""


def test_no_more_samples_than_features_is_marked(run: Path) -> None:
    text = result_table(scored(judge_of(run, Wanted(images=64)), 1))
    assert "below dimension" in text
    assert "one draw: no spread" in text
    assert "each draw" not in text  # it is the mean
    assert "infinitely many" not in text  # nothing to extrapolate from
    assert "below dimension" not in result_table(scored(judge_of(run, Wanted(images=65)), 1))


def test_infinitely_many_samples(run: Path, tmp_path: Path) -> None:
    judge = judge_of(run)
    result = scored(judge, 1)
    route = judge.subject.routes()[1]
    features = judge.evaluator.features(judge.subject.samplers()[1], route, range(600))
    expected = frechet_infinity(features, judge.evaluator.reference.factor)
    assert result.infinity.keys() == {"fd", "fd_2step"}
    assert result.infinity["fd"].mean == pytest.approx(expected.value, rel=1e-6)
    low, high = (f"{expected.value + z * expected.error:.4g}" for z in (-1.96, 1.96))
    assert f"{expected.error:.2g}, 95 % interval {low} to {high}" in result_table(result)


@pytest.mark.parametrize(
    ("metric", "value", "each", "mean"),
    [
        (
            "precision",
            0.0,
            "0 (at 95 % below 0.005), ",
            "precision      0   at 95 % below 0.0025",
        ),
        ("precision", 1.0, "1 (at 95 % above 0.995), ", "precision      1   at 95 % above 0.9975"),
        ("recall", 0.0, "0 (error not known), ", "recall         0   error not known"),
    ],
)
def test_a_share_of_nothing_or_all_does_not_look_certain(
    run: Path, metric: str, value: float, each: str, mean: str
) -> None:
    result = scored(judge_of(run, replace(FEW, metrics=("recall", "precision"))))
    estimate = Estimate(value, 0.0)
    draws = [replace(d, estimates={**d.estimates, metric: estimate}) for d in result.draws]
    text = result_table(replace(result, draws=tuple(draws)))
    assert each in text
    assert mean in text
    assert f"{value:g} ± 0" not in text
    both = {metric: Paired(difference=Estimate(0.0, 0.0), unpaired=Estimate(0.0, 0.0))}
    assert "no interval: both are all or nothing" in difference_table(both)


def test_the_bound_of_a_precision_is_the_exact_binomial_one() -> None:
    bound = binomtest(0, 100, alternative="less").proportion_ci(0.95, method="exact").high
    assert _bound("precision", 0.0, 100) == f"at 95 % below {bound:.2g}"
    assert _bound("precision_2step", 0.01, 100) == _bound("fd", 0.0, 100) == ""


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (Wanted(metrics=("fid",)), "FID is the name for Inception features"),
        (Wanted(features={"name": "resnet"}), "classifier, inception"),
        (Wanted(features={"name": "inception", "path": "nowhere.pt"}), "nowhere.pt"),
        (Wanted(features={"name": "classifier", "mode": "clean"}), "mode"),
        (Wanted(data=Path("nowhere")), "nowhere"),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_is_sampled(
    run: Path, wanted: Wanted, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        Judge.of(Subject.of(run), wanted, 0)
    assert not (run / "evaluations").exists()


def test_other_data_are_another_passport(run: Path, tmp_path: Path) -> None:
    images = load(DataConfig(name="digits"))
    assert images.labels is not None
    path = tmp_path / "half.npz"
    np.savez(path, images=images.pixels[:900].numpy(), labels=images.labels[:900].numpy())
    half = judge_of(run, replace(FEW, data=path))
    with pytest.raises(UserError, match="reference: "):
        check_comparable(judge_of(run), half)
    assert place_of(half) != place_of(judge_of(run))
    wide = tmp_path / "wide.npz"
    np.savez(wide, images=np.zeros((80, 16, 16), np.uint8))
    with pytest.raises(UserError, match=r"pictures of 1x16x16; .* makes pictures of 1x8x8"):
        judge_of(run, replace(FEW, data=wide))


@pytest.mark.parametrize(
    ("labels", "says"),
    [({}, "have no labels"), ({"labels": np.arange(100) % 12}, "from 0 to 11; .* 0 to 9")],
)
def test_a_model_of_classes_needs_data_of_its_classes(
    run: Path, tmp_path: Path, labels: dict[str, np.ndarray], says: str
) -> None:
    path = tmp_path / "other.npz"
    random = np.random.default_rng(0)
    np.savez(path, images=random.integers(0, 256, (100, 8, 8), np.uint8), **labels)
    subject = Subject.of(run)
    network = {**subject.config.to_dict()["network"], "classes": 10}
    of_classes = trial_config({**subject.config.to_dict(), "network": network})
    with pytest.raises(UserError, match=says):
        Judge.of(replace(subject, config=of_classes), replace(FEW, data=path), 0)


def test_data_that_changed_since_training_are_refused(run: Path) -> None:
    place = run / "checkpoints" / "000002-000002" / "meta.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "data": "other"}))
    with pytest.raises(UserError, match=r"not those that .* was trained on"):
        judge_of(run)


def test_a_trial_uses_its_studys_cache(tmp_path: Path) -> None:
    trial = tmp_path / "studies" / "s" / "trials" / "0003"
    trial.mkdir(parents=True)
    assert cache_of(trial) == trial / ".cache"
    (tmp_path / "studies" / "s" / "study.yaml").write_text("")
    assert cache_of(trial) == tmp_path / "studies" / ".cache"
