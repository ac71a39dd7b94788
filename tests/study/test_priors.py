"""An older study's results are told to the sampler where they are what this study would measure."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from ictsweep.errors import StudyError
from ictsweep.records import LOG_VERSION, Event, State
from ictsweep.study.priors import prior, same_yardstick, with_places
from ictsweep.study.spec import parse_spec, spec_from_dict
from ictsweep.study.store import StudyFolder
from tests.report.fixture import Script, space, write_study
from tests.study.worlds import Historian, decisions, engine, play, spec


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """16 configurations and 3 seeds of trial 0; trial 5 failed, 13 diverged."""
    return write_study(tmp_path_factory.mktemp("old") / "s", script=Script(pictures=False))


def new(**changes: Any):
    return spec_from_dict(space(**changes))


def changed(old_space: dict[str, Any], block: str, **values: Any) -> dict[str, Any]:
    trial = old_space["trial"]
    return {"trial": {**trial, block: {**trial[block], **values}}}


def test_the_same_space_takes_every_result_but_seeds_failures_and_what_has_no_value(
    old: StudyFolder,
) -> None:
    found = prior(new(trials=4), str(old.path))
    records = {r.number: r for r in old.trials()}
    told = {fact["trial"]: fact for fact in found.facts}
    expected = {
        n for n, r in records.items()
        if r.replicate_of is None and r.state in (State.COMPLETE, State.PRUNED) and r.measurements
    }  # fmt: skip
    assert set(told) == expected
    assert set(found.left_out) == set(records) - expected
    for number, fact in told.items():
        record = records[number]
        assert fact["params"] == record.params
        assert fact["state"] == record.state
        cards = {str(c.rung_kimg): c.value for c in record.cards if c.value is not None}
        assert fact["values"] == cards


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (changed(space(), "network", channels=32), "network.channels "),
        (changed(space(), "evaluate", images=500), "evaluate.images 1000 there, 500 here"),
        (changed(space(), "optimizer", lr=2e-3), "optimizer.lr 0.001 there, 0.002 here"),
        ({"seed": 7}, "seed 0 there, 7 here: other samples are measured"),
        ({"stopping": {"first_rung_kimg": 32, "reduction": 3, "fidelity": "same_run"}},
         "its rungs are another kind of run (stopping.fidelity)"),
        ({"minimize": "fid"}, "no fid at a rung of this study"),
        ({"stopping": {"first_rung_kimg": 64, "reduction": 3},
          "trial": {**space()["trial"], "budget_kimg": 576}}, "no fd at a rung of this study"),
    ],
)  # fmt: skip
def test_what_differs_gives_nothing_and_says_why(
    old: StudyFolder, changes: dict[str, Any], why: str
) -> None:
    found = prior(new(**changes), str(old.path))
    assert found.facts == ()
    assert why in found.left_out[0]
    assert f"warm start: 0 of {len(found.left_out)} results of {old.path}; " in str(found)


def test_a_longer_study_takes_short_runs_and_no_end(old: StudyFolder) -> None:
    """Budget 864: the old end, 288, is one of its rungs; nothing was trained to its own end."""
    longer = new(trial={**space()["trial"], "budget_kimg": 864})
    found = prior(longer, str(old.path))
    assert found.facts
    assert {fact["state"] for fact in found.facts} == {"pruned"}
    assert "288" in next(f for f in found.facts if f["trial"] == 0)["values"]


def test_a_narrower_axis_takes_what_lies_on_it(old: StudyFolder) -> None:
    narrow = {**space()["search"], "network.dropout": {"range": [0.0, 0.1], "step": 0.05}}
    found = prior(new(search=narrow), str(old.path))
    assert found.facts
    assert all(fact["params"]["network.dropout"] <= 0.1 for fact in found.facts)
    assert any("network.dropout outside the range [0.0, 0.1]" in w for w in found.left_out.values())


def test_other_contents_are_refused(old: StudyFolder) -> None:
    with pytest.raises(StudyError, match=r"the data and the extractor of this study are others"):
        same_yardstick(str(old.path), {"data": "d", "extractor": "e"})


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"study": 3}, "warm_start[1].study: got 3; expected the folder or URL"),
        ({"study": "x", "a": 1}, "warm_start[1].study: stands alone: its trials are results"),
    ],
)
def test_a_malformed_entry_is_refused(entry: dict[str, Any], says: str) -> None:
    _, problems = parse_spec(space(warm_start=[{}, entry]))
    assert any(says in str(problem) for problem in problems)


def test_an_unknown_study_is_refused_with_its_place_in_the_file(call, tmp_path: Path) -> None:
    digits = (Path(__file__).parents[2] / "search_spaces" / "digits.yaml").read_text()
    text = digits.replace("warm_start: [{}]", "warm_start: [{}, {study: nowhere}]")
    (tmp_path / "my.yaml").write_text(text)
    code, _, err = call("check", "my.yaml")
    assert code == 2
    assert ": warm_start[1].study: nowhere: not a study folder" in err


def test_check_says_what_an_older_study_gives(call, tmp_path: Path) -> None:
    place = write_study(tmp_path / "older", script=Script(pictures=False), until=60).path
    digits = (Path(__file__).parents[2] / "search_spaces" / "digits.yaml").read_text()
    text = digits.replace("warm_start: [{}]", f"warm_start: [{{}}, {{study: {place}}}]")
    (tmp_path / "my.yaml").write_text(text)
    code, out, _ = call("check", "my.yaml")
    assert code == 0
    assert "warm start: 0 of " in out


def test_paths_become_absolute_and_urls_stay() -> None:
    both = ({}, {"study": "x"}, {"study": "s3://b/x"}, {"a": 1})
    assert with_places(replace(spec(), warm_start=both)) == (
        {}, {"study": str(Path("x").absolute())}, {"study": "s3://b/x"}, {"a": 1}
    )  # fmt: skip


PRIORS = [
    Event(kind="study", time=0.0, data={"version": LOG_VERSION, "slots": 3}),
    *(
        Event(kind="prior", time=0.0, data={
            "study": "old", "trial": n, "params": {"a": n / 9, "b": 0.01 + n / 10},
            "state": "complete" if n % 2 else "pruned",
            "values": {"4": 9.0 - n, **({"36": 5.0 - n} if n % 2 else {})},
        })
        for n in range(8)
    ),
]  # fmt: skip


def test_the_sampler_is_told_before_the_first_trial_and_the_study_counts_its_own() -> None:
    mind = engine(spec())
    mind.replay(PRIORS)
    told = mind.sampler._study.get_trials()  # type: ignore[attr-defined]
    assert [t.state for t in told] == [TrialState.PRUNED, TrialState.COMPLETE] * 4
    assert told[1].value == 4.0
    assert told[1].intermediate_values == {4: 8.0, 36: 4.0}
    whole = play(spec(), order=random.Random(0), log=PRIORS)
    assert len([e for e in whole if e.kind == "ask"]) == 12
    first = next(e for e in whole if e.kind == "verdict" and e.data["card"]["rung_kimg"] == 4)
    assert first.data["card"]["of"] == 1
    assert decisions(whole) != decisions(play(spec(), order=random.Random(0), log=PRIORS[:1]))


@pytest.mark.parametrize("sampler", [lambda: None, Historian])
def test_every_cut_decides_the_same_with_priors(sampler: Any) -> None:
    whole = play(spec(), order=random.Random(0), log=PRIORS, sampler=sampler)
    for cut in range(len(PRIORS), len(whole), 1 if sampler is Historian else 7):
        resumed = play(spec(), order=random.Random(cut), log=whole[:cut], sampler=sampler)
        assert decisions(resumed) == decisions(whole), f"cut after event {cut}"
