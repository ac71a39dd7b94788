"""The mirror in an Optuna storage: equal to the log at every moment, whatever happens to it."""

import multiprocessing
import random
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import URL, create_engine, delete, insert, select, update
from sqlalchemy.orm import Session

from ictsweep.errors import StudyError, UserError
from ictsweep.mirror import database
from ictsweep.mirror.mirror import Mirror, mirror, storage_url
from ictsweep.mirror.picture import content
from ictsweep.records import Event, measure_event, retry_event, trials
from ictsweep.study.engine import Engine
from ictsweep.study.memory import Memory
from ictsweep.study.space import distributions
from ictsweep.study.spec import spec_to_dict
from ictsweep.study.store import StudyFolder
from tests.mirror.conftest import Fresh
from tests.mirror.logs import NAME, contents, grow, opened, read, started, states, study
from tests.report.fixture import DEFAULTS, methods, space

models = database.models


def test_optuna_reads_what_the_sampler_was_told(whole: StudyFolder, url: URL) -> None:
    mirror(whole, url)
    spec = whole.spec()
    memory = Memory(spec, distributions(spec))
    first = {axis.path: DEFAULTS[axis.path] for axis in spec.search}
    Engine(spec, [first], memory).replay(whole.events())
    told, shown = memory.trials(), read(url)
    assert [t.state for t in shown] == states(whole.events())
    assert len(told) == spec.trials
    for number, trial in told.items():
        mine = shown[number]
        assert mine.number == number
        assert (mine.state, mine.values, mine.params) == (trial.state, trial.values, trial.params)
        assert mine.intermediate_values == trial.intermediate_values
        assert mine.distributions == trial.distributions


def test_a_trial_says_where_it_came_from_and_how_it_ended(whole: StudyFolder, url: URL) -> None:
    mirror(whole, url)
    records, shown = whole.trials(), read(url)
    for record, trial in zip(records, shown, strict=True):
        assert trial.user_attrs["trial"] == trial.number == record.number
        assert trial.user_attrs["seed"] == str(record.seed)
        assert trial.user_attrs["reason"] == record.reason
        assert trial.user_attrs.get("replicate_of") == record.replicate_of
        assert trial.datetime_start is not None
        assert trial.datetime_start.timestamp() == pytest.approx(record.launches[0].time, abs=1e-5)
        assert trial.datetime_complete is not None
        assert trial.datetime_complete.timestamp() == pytest.approx(record.ended, abs=1e-5)
    assert [t.number for t in shown if "replicate_of" in t.user_attrs] == [1, 2]
    assert shown[5].user_attrs["failure"] == "bug: RuntimeError: shape mismatch"
    best = shown[0].user_attrs
    last = records[0].measurements[-1]
    assert best["fd_2step"] == last.values["fd_2step"]
    assert best["fd_error"] == last.errors["fd"]
    assert best["levels"] == last.levels
    assert best["passport"] == "digits Fréchet distance, 1000 images, 1 step, classifier-64"


def test_optuna_takes_it_for_a_study_of_its_own(whole: StudyFolder, url: URL) -> None:
    mirror(whole, url)
    loaded = optuna.load_study(study_name=NAME, storage=opened(url))
    finals = {r.number: r.cards[-1].value for r in whole.trials() if r.state == "complete"}
    assert loaded.best_trial.number == min(finals, key=lambda n: finals[n] or 0.0)
    assert loaded.best_value == min(v for v in finals.values() if v is not None)
    assert loaded.metric_names == ["fd"]
    assert len(loaded.trials_dataframe()) == 18
    assert set(optuna.importance.get_param_importances(loaded)) == set(DEFAULTS) - {"method.preset"}


def test_it_is_the_log_at_every_moment(whole: StudyFolder, url: URL, tmp_path: Path) -> None:
    events = whole.events()
    growing = started(tmp_path / "growing", whole)
    following = Mirror(growing, url)
    step = 11
    for end in range(0, len(events), step):
        grow(growing, events[end : end + step])
        following.catch_up()
        if any(e.kind == "ask" for e in events[: end + step]):
            shown = read(url)
            assert [t.state for t in shown] == states(events[: end + step])
            assert all(t.values is None for t in shown if t.state == TrialState.RUNNING)
    following.close()


def test_nothing_is_made_before_the_first_trial(
    whole: StudyFolder, fresh: Fresh, tmp_path: Path
) -> None:
    url = fresh()
    empty = started(tmp_path / "empty", whole)
    mirror(empty, url)
    grow(empty, whole.events()[:1])
    mirror(empty, url)
    assert opened(url).get_all_studies() == []


def test_grown_bit_by_bit_is_made_in_one_go(
    whole: StudyFolder, fresh: Fresh, tmp_path: Path
) -> None:
    grown, once = fresh(), fresh()
    growing = started(tmp_path / "growing", whole)
    following = Mirror(growing, grown)
    events, rng = whole.events(), random.Random(2)
    while events:
        added, events = events[: (size := rng.randrange(1, 9))], events[size:]
        grow(growing, added)
        following.catch_up()
    following.close()
    mirror(whole, once)
    assert contents(grown) == contents(once)


def test_a_second_time_writes_nothing(
    whole: StudyFolder, url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror(whole, url)
    before = contents(url)
    written = []
    monkeypatch.setattr(database.Database, "write", lambda self, pictures: written.append(pictures))
    mirror(whole, url)
    assert written == []
    assert contents(url) == before


def test_choices_and_conditions(url: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = study(tmp_path / "s", methods())
    mirror(folder, url)
    for record, trial in zip(folder.trials(), read(url), strict=True):
        assert trial.params == record.params
    test_a_second_time_writes_nothing(folder, url, monkeypatch)


# killed --------------------------------------------------------------------------


def _mirror_slowly(folder: StudyFolder, url: URL) -> None:
    database.BATCH = 1  # a transaction for every trial
    mirror(folder, url)


def _rows(url: URL) -> int:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return len(connection.execute(select(models.TrialModel.trial_id)).all())
    finally:
        engine.dispose()


def test_killed_at_random_moments_and_made_again(whole: StudyFolder, fresh: Fresh) -> None:
    """SIGKILL while it is written, eight times over, each time a little further; what the last one
    leaves is what one uninterrupted mirror is.
    """
    url, once = fresh(), fresh()
    mirror(whole, once)
    expected = contents(once)
    opened(url)  # the tables
    rng = random.Random(4)
    context = multiprocessing.get_context("fork")
    left = []
    for goal in range(1, 17, 2):
        process = context.Process(target=_mirror_slowly, args=(whole, url))
        process.start()
        while _rows(url) < goal and process.is_alive():
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        process.join()
        left.append(_rows(url))
        assert contents(url) == expected[: left[-1]]
    assert any(0 < rows < len(expected) for rows in left), left
    mirror(whole, url)
    assert contents(url) == expected


def test_two_at_once_make_one(whole: StudyFolder, fresh: Fresh) -> None:
    url, once = fresh(), fresh()
    mirror(whole, once)
    opened(url)
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_mirror_slowly, args=(whole, url)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    mirror(whole, url)
    assert contents(url) == contents(once)


# damaged -------------------------------------------------------------------------


def test_what_is_deleted_or_changed_by_hand_comes_back(whole: StudyFolder, url: URL) -> None:
    mirror(whole, url)
    expected = contents(url)
    ids = [trial._trial_id for trial in read(url)]
    engine = create_engine(url)
    trial, value, attribute = (
        models.TrialModel,
        models.TrialValueModel,
        models.TrialUserAttributeModel,
    )
    with Session(engine) as session, session.begin():
        for model in (*database._SHOWN, trial):
            session.execute(delete(model).where(model.trial_id.in_([ids[4], ids[11]])))
        session.execute(update(value).where(value.trial_id == ids[0]).values(value=0.0))
        session.execute(update(trial).where(trial.trial_id == ids[1]).values(state=TrialState.FAIL))
        session.execute(delete(attribute).where(attribute.trial_id == ids[2]))
    engine.dispose()
    assert contents(url) != expected
    mirror(whole, url)
    assert contents(url) == expected
    assert [t.number for t in read(url)] == list(range(18))


def test_trials_that_are_not_the_logs_go(whole: StudyFolder, url: URL) -> None:
    mirror(whole, url)
    expected = contents(url)
    loaded = optuna.load_study(study_name=NAME, storage=opened(url))
    loaded.enqueue_trial({"network.dropout": 0.1})
    loaded.ask()
    loaded.tell(loaded.ask(), 3.0)
    assert len(read(url)) == 20
    mirror(whole, url)
    assert contents(url) == expected


def test_numbers_given_twice_are_put_right(whole: StudyFolder, url: URL) -> None:
    mirror(whole, url)
    expected = contents(url)
    row = models.TrialModel.__table__
    engine = create_engine(url)
    with engine.begin() as connection:
        study_id = connection.execute(select(row.c.study_id)).scalars().first()
        connection.execute(
            insert(row).values(study_id=study_id, number=3, state=TrialState.RUNNING)
        )
    engine.dispose()
    mirror(whole, url)
    assert contents(url) == expected


def test_a_log_cut_by_hand_takes_its_trials_back(
    whole: StudyFolder, fresh: Fresh, tmp_path: Path
) -> None:
    url, once = fresh(), fresh()
    mirror(whole, url)
    cut = started(tmp_path / "cut", whole)
    grow(cut, whole.events()[:60])
    mirror(cut, url)
    mirror(cut, once)
    assert contents(url) == contents(once)
    assert len(contents(url)) == len(trials(whole.events()[:60])) < 18


def test_a_study_of_the_same_name_is_refused_and_left_alone(
    whole: StudyFolder, url: URL, tmp_path: Path
) -> None:
    mirror(whole, url)
    before = contents(url)
    other = started(tmp_path / "other", whole)
    first, *rest = whole.events()
    grow(other, [replace(first, time=first.time + 1), *rest])
    with pytest.raises(
        StudyError, match="'digits' in it is the mirror of another study"
    ) as refused:
        mirror(other, url)
    assert "optuna delete-study --study-name digits" in str(refused.value)
    assert contents(url) == before


def test_a_study_of_optunas_own_is_refused_and_left_alone(whole: StudyFolder, url: URL) -> None:
    own = optuna.create_study(study_name=NAME, storage=opened(url))
    own.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    before = contents(url)
    with pytest.raises(StudyError, match="a study that is no mirror of ours"):
        mirror(whole, url)
    assert contents(url) == before


def test_it_lives_beside_other_studies(whole: StudyFolder, url: URL, tmp_path: Path) -> None:
    own = optuna.create_study(study_name="own", storage=opened(url))
    own.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    before = contents(url, "own")
    mirror(whole, url)
    second = study(tmp_path / "second", space(study="second"))
    mirror(second, url)
    expected = contents(url, "second")
    mirror(whole, url)
    assert contents(url, "own") == before
    assert contents(url, "second") == expected
    assert len(contents(url)) == 18


# trials that live twice, odd values ----------------------------------------------


def test_a_failed_trial_that_is_launched_again_is_the_same_trial(
    whole: StudyFolder, url: URL, tmp_path: Path
) -> None:
    growing = started(tmp_path / "growing", whole)
    following = Mirror(growing, url)
    grow(growing, whole.events())
    following.catch_up()
    failed = read(url)[5]
    assert failed.state == TrialState.FAIL
    last = whole.events()[-1].time
    grow(growing, [
        retry_event(5, 1, 0, "asked for by `ictsweep retry`", last + 1),
        Event(kind="launch", time=last + 2, trial=5, data={"attempt": 1}),
    ])  # fmt: skip
    following.catch_up()
    again = read(url)[5]
    assert (again.state, again.datetime_complete) == (TrialState.RUNNING, None)
    assert again._trial_id == failed._trial_id
    assert again.user_attrs["launches"] == 2
    assert "reason" not in again.user_attrs
    done = [e for e in whole.events() if e.trial == 0 and e.kind in ("measure", "verdict")]
    grow(growing, [replace(event, trial=5, time=last + 3) for event in done])
    following.catch_up()
    following.close()
    ended, first = read(url)[5], read(url)[0]
    assert (ended.state, ended.value) == (TrialState.COMPLETE, first.value)
    assert ended.intermediate_values == first.intermediate_values
    assert [t.number for t in read(url)] == list(range(18))


def test_infinities_and_nans(whole: StudyFolder, url: URL, tmp_path: Path) -> None:
    folder = started(tmp_path / "odd", whole)
    events = whole.events()
    place = next(i for i, e in enumerate(events) if e.kind == "measure" and e.trial == 0)
    (first,) = trials(events[: place + 1])[0].measurements
    ends = replace(first, run_kimg=32, kimg=32)
    nan = replace(ends, values={"fd": float("nan"), "fd_2step": float("nan")})
    infinite = replace(ends, values={"fd": float("inf"), "fd_2step": 1.0})
    grow(folder, events[:place])
    grow(folder, [measure_event(0, nan, 1.0), measure_event(1, infinite, 1.0)])
    mirror(folder, url)
    one, other = read(url)[:2]
    assert str(one.intermediate_values) == "{32: nan}"
    assert one.user_attrs["fd_2step"] == "nan"
    assert other.intermediate_values == {32: float("inf")}
    mirror(folder, url)
    assert str(read(url)[0].intermediate_values) == "{32: nan}"


def test_axes_changed_between_sessions(whole: StudyFolder, url: URL, tmp_path: Path) -> None:
    """A trial is shown on the axes of its own session: values outside today's would be refused."""
    folder = started(tmp_path / "changed", whole)
    events = whole.events()
    search = space()["search"] | {"network.dropout": {"range": [0.6, 0.9]}}
    narrow = spec_to_dict(folder.spec()) | {"search": search}
    wide = replace(events[0], data={**events[0].data, "spec": spec_to_dict(folder.spec())})
    later = replace(events[0], time=9e9, data={**events[0].data, "spec": narrow})
    ask = next(e for e in events if e.kind == "ask")
    params = {**ask.data["params"], "network.dropout": 0.75}
    added = replace(ask, trial=18, data={**ask.data, "params": params})
    grow(folder, [wide, *events[1:], later, added])
    mirror(folder, url)
    shown = read(url)
    assert shown[3].distributions["network.dropout"].high == 0.5
    assert shown[18].distributions["network.dropout"].low == 0.6
    assert shown[18].params["network.dropout"] == 0.75


# the command's arguments ---------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("study.db", "not the URL of a database; expected sqlite:///FILE"),
        ("sqlite://", "expected sqlite:///FILE"),
        ("sqlite:///:memory:", "expected sqlite:///FILE"),
        ("cassandra://host/db", "not the URL of a database"),
        ("postgresql+psycopg://owner:secret@host", "expected sqlite:///FILE or postgresql"),
        ("mysql+mysqldb://owner:secret@host/db", "mysql"),
    ],
)
def test_urls_that_are_none_of_ours(text: str, says: str) -> None:
    with pytest.raises(UserError) as refused:
        storage_url(text)
    assert says in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_database_that_cannot_be_reached_is_one_message(
    whole: StudyFolder, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="unable to open database file"):
        mirror(whole, storage_url(f"sqlite:///{tmp_path}/missing/study.db"))


def test_pictures_of_one_content_are_equal(whole: StudyFolder, url: URL) -> None:
    """The comparison sees every field that is shown."""
    mirror(whole, url)
    trial = read(url)[0]
    for change in (
        {"number": 7}, {"state": TrialState.FAIL}, {"value": 1.0}, {"datetime_start": None},
        {"datetime_complete": None}, {"params": {}}, {"distributions": {}}, {"user_attrs": {}},
        {"intermediate_values": {}},
    ):  # fmt: skip
        other = read(url)[0]
        for name, value in change.items():
            setattr(other, name, value)
        assert content(other) != content(trial), change
