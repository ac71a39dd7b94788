"""A study measured again: the evaluator's numbers for each kept checkpoint, and what that does to
the order of its trials."""

import json
import re
import shutil
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import pytest
import torch
import yaml

from ictsweep.cli.tables import ranking_table
from ictsweep.errors import UserError
from ictsweep.records import (
    LOG_VERSION,
    Action,
    Card,
    Event,
    Measurement,
    ask_event,
    measure_event,
    verdict_event,
)
from ictsweep.scoring import draw as module_of_draws
from ictsweep.scoring.draw import passports
from ictsweep.scoring.judge import Wanted
from ictsweep.scoring.rescore import Rescoring, place_of
from ictsweep.study.spec import spec_from_dict
from ictsweep.study.store import Log, StudyFolder
from ictsweep.training.checkpoints import read_meta, read_state, write_checkpoint
from ictsweep.training.precision import tf32
from tests.scoring.conftest import at_work, done
from tests.training.small import SPACE

OLD = {0: 30.0, 1: 10.0, 2: 20.0, 3: 40.0, 4: 50.0, 5: 60.0}
# How much each trial's weights are spoilt: the more, the worse it measures now.
SPOILT = {0: 0.0, 1: 0.02, 2: 0.04, 3: 0.08, 4: 0.3, 5: 0.15}
WANTED = Wanted(images=200)


def events(values: Mapping[int, float]) -> list[Event]:
    """A log in which every trial came to its end with a value."""
    found = [Event(kind="study", time=0.0, data={"version": LOG_VERSION, "slots": 1})]
    for number, value in values.items():
        measured = Measurement(
            run_kimg=2, kimg=2, values={"fd": value, "fd_2step": value}, errors={}, passports={},
            levels=11, loss=0.0, grad_norm=0.0, train_s=1.0, evaluate_s=1.0,
        )  # fmt: skip
        card = Card(rung_kimg=2, value=value, error=None, cutoff=None, rank=None, of=1, keep=1,
                    reason="full budget")  # fmt: skip
        found += [
            ask_event(number, {"network.dropout": 0.1}, 0, None, 0.0),
            Event(kind="launch", time=0.0, trial=number, data={"attempt": 1}),
            measure_event(number, measured, 0.0),
            verdict_event(number, Action.COMPLETE, card, 0.0),
        ]
    return found


def spoil(run: Path, trial: Path, scale: float) -> None:
    """The checkpoint at the end of a run, with noise on its averaged weights."""
    place = run / "checkpoints" / "000002-000002"
    state, generator = read_state(place), torch.Generator().manual_seed(0)
    for name, value in state["ema"].items():
        if name.startswith("module.") and value.is_floating_point():
            value += scale * torch.randn(value.shape, generator=generator)
    write_checkpoint(trial / "checkpoints" / place.name, state, read_meta(place))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, trained: Path, cache: Path) -> StudyFolder:
    """A study of six trials, as a driver leaves it."""
    block = yaml.safe_load(SPACE)
    block["trial"] |= {"budget_kimg": 2}
    block["stopping"] |= {"first_rung_kimg": 1}
    place = tmp_path_factory.mktemp("studies")
    folder = StudyFolder.create(place / "small", spec_from_dict(block))
    with Log(folder) as log:
        log.append(events(OLD))
    for number, scale in SPOILT.items():
        spoil(trained, folder.trial_dir(number), scale)
    shutil.copytree(cache, place / ".cache")
    return folder


@pytest.fixture
def study(made: StudyFolder, tmp_path: Path) -> StudyFolder:
    """A copy of it."""
    shutil.copytree(made.path.parent, tmp_path / "studies")
    return StudyFolder(tmp_path / "studies" / "small")


def measured(study: StudyFolder, wanted: Wanted = WANTED) -> Rescoring:
    rescoring = Rescoring.of(study, wanted)
    done(rescoring.judge(rescoring.records[0]).ready())
    done(rescoring.measure())
    return rescoring


def test_every_trial_has_the_evaluators_number_on_the_studys_latents(study: StudyFolder) -> None:
    rescoring = measured(study)
    ranking = rescoring.ranking()
    assert (ranking.old_key, ranking.new_key, ranking.higher) == ("fd", "fd", False)
    assert sorted(row.trial for row in ranking.rows) == list(OLD)
    found = []
    for row in ranking.rows:
        assert row.old == OLD[row.trial]
        judge = rescoring.judge(rescoring.records[row.trial])
        assert passports(judge)["fd"]["images"] == 200
        with tf32(False):
            alone = judge.evaluator(judge.subject.samplers(), judge.subject.routes())
        assert row.new.value == pytest.approx(alone.values["fd"], rel=1e-9)
        found.append(alone.values["fd"])
        kept = json.loads((ranking.place / f"{row.trial:04d}.json").read_text())
        assert kept["trial"] == row.trial
        assert kept["values"]["fd"] == row.new.value
        assert kept["passports"]["fd"]["latent_seed"] == study.spec().seed
    assert found == sorted(found)
    assert len(set(found)) == len(OLD)
    assert not list(ranking.place.glob("*/features-*"))


def test_the_ranking_opens_no_model_again(study: StudyFolder) -> None:
    rescoring = measured(study)
    before = rescoring.ranking()
    for number in range(1, 6):
        shutil.rmtree(study.trial_dir(number))
    assert str(rescoring.ranking().rows) == str(before.rows)
    (before.place / "0003.json").unlink()
    with pytest.raises(UserError, match=r"trial 3 is not measured as the others are"):
        rescoring.ranking()


def test_the_table_shows_both_orders_and_how_far_they_agree(study: StudyFolder) -> None:
    ranking = measured(study).ranking()
    text = ranking_table(ranking)
    lines = re.findall(r"^ +(\d) +(\d) +(\d) +\d", text, re.M)
    new = sorted(OLD, key={row.trial: row.new.value for row in ranking.rows}.__getitem__)
    old = sorted(OLD, key=OLD.__getitem__)
    assert [(int(now), int(before), int(trial)) for now, before, trial in lines] == [
        (new.index(t) + 1, old.index(t) + 1, t) for t in new
    ]
    pairs = list(combinations(OLD, 2))
    turned = sum((new.index(a) < new.index(b)) != (old.index(a) < old.index(b)) for a, b in pairs)
    assert 0 < turned < 15
    assert f"orders {1 - 2 * turned / 15:.2f}, 95 % interval" in text
    assert "(6 trials)" in text


def test_a_kill_then_again_costs_what_was_not_safe(
    study: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rescoring = Rescoring.of(study, WANTED)
    done(rescoring.judge(rescoring.records[0]).ready())
    at_work(rescoring.measure(), 8)  # two ways of sampling, and the end: within the third trial
    (place,) = (study.path / "rescored").iterdir()
    before = {p.name: p.read_bytes() for p in place.glob("*.json")}
    assert sorted(before) == ["0000.json", "0001.json"]
    sampled: list[Path] = []
    sample = module_of_draws._sample
    monkeypatch.setattr(
        module_of_draws,
        "_sample",
        lambda judge, steps, folder: sampled.append(folder) or sample(judge, steps, folder),
    )
    steps = done(rescoring.measure())
    assert steps[-1].done == steps[-1].total == 6 * 2 * 200
    assert all((place / name).read_bytes() == content for name, content in before.items())
    assert {folder.name for folder in sampled} == {"0002", "0003", "0004", "0005"}
    assert len(rescoring.ranking().rows) == 6


def test_numbers_below_dimension_are_marked_and_rank_nothing(study: StudyFolder) -> None:
    ranking = measured(study, Wanted(images=64)).ranking()
    assert ranking.below
    assert not ranking.ranked
    text = ranking_table(ranking)
    assert "below dimension" in text
    assert "no ranking" in text
    assert "Kendall" not in text
    assert [row.trial for row in ranking.rows] == list(OLD)


def test_a_metric_of_which_more_is_better_ranks_the_other_way(study: StudyFolder) -> None:
    ranking = measured(study, Wanted(images=200, metrics=("recall",))).ranking()
    assert ranking.higher
    values = [row.new.value for row in ranking.rows]
    assert values == sorted(values, reverse=True)
    assert "higher is better" in ranking_table(ranking)


def test_another_yardstick_lies_elsewhere(study: StudyFolder) -> None:
    places = set()
    for wanted in (WANTED, Wanted(images=201), Wanted(images=200, metrics=("kd",))):
        rescoring = Rescoring.of(study, wanted)
        found = {place_of(study, rescoring.judge(record)) for record in rescoring.records}
        assert len(found) == 1  # all trials of a study together
        places |= found
    assert len(places) == 3


def test_trials_without_their_last_checkpoint_are_left_out_and_said(study: StudyFolder) -> None:
    shutil.rmtree(study.trial_dir(4) / "checkpoints")
    torn = study.trial_dir(5) / "checkpoints" / "000002-000002" / "state.pt"
    torn.write_bytes(torn.read_bytes()[:100])
    ranking = measured(study).ranking()
    assert ranking.left_out == (4, 5)
    assert "trial 4, 5" in ranking_table(ranking)
    for number in OLD:
        shutil.rmtree(study.trial_dir(number), ignore_errors=True)
    with pytest.raises(UserError, match="no finished trial with its last checkpoint"):
        Rescoring.of(study, WANTED)
