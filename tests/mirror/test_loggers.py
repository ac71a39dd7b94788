"""Ray's logger callbacks told of a study by its log: what the tools' files hold is what it says."""

from pathlib import Path

import pytest

from ictsweep.mirror.loggers import Logbook, result, settings
from ictsweep.mirror.tools import TOOLS
from ictsweep.records import Event, trials
from ictsweep.study.store import StudyFolder
from tests.mirror.logs import grow, started
from tests.mirror.reading import Curves, expected, of_mlflow, of_tensorboard


def close_to(curves: Curves, other: Curves, rel: float = 1e-6) -> None:
    """Equal names, equal steps, equal values (to 32 bits)."""
    assert {n: list(c) for n, c in curves.items()} == {n: list(c) for n, c in other.items()}
    for name, curve in curves.items():
        assert curve == pytest.approx(other[name], rel=rel), name


def shown_in_tensorboard(folder: StudyFolder, events: list[Event]) -> None:
    place = folder.path / "loggers" / "tensorboard"
    records = [r for r in trials(events) if r.launches]
    assert sorted(p.name for p in place.iterdir()) == [f"trial-{r.number:04d}" for r in records]
    for record in records:
        wanted = expected(folder, record)
        wanted.pop("training_iteration", None)  # Ray's callback drops it
        close_to(of_tensorboard(place / f"trial-{record.number:04d}"), wanted)


def test_steps_are_what_a_trial_has_trained(whole: StudyFolder) -> None:
    """Runs of 32, 96 and 288 kimg, measured every 32: the later ones go on after the earlier."""
    record = whole.trials()[0]
    steps = [result(whole.spec(), m)["timesteps_total"] for m in record.measurements]
    assert steps == [32 * n for n in range(1, 14)]
    assert [m.kimg for m in record.measurements][:5] == [32, 32, 64, 96, 32]


def test_settings_are_the_whole_configuration(whole: StudyFolder) -> None:
    record = whole.trials()[3]
    told = settings(whole.spec(), record)
    assert {path: told[path] for path in record.params} == record.params
    assert told["optimizer.batch"] == 128
    assert (told["trial"], told["seed"]) == (3, str(record.seed))
    assert all(isinstance(value, str | bool | int | float) for value in told.values())


def test_tensorboard(whole: StudyFolder, tmp_path: Path) -> None:
    folder, events = started(tmp_path / "s", whole), whole.events()
    book = Logbook(folder, TOOLS["tensorboard"])
    for start in range(0, len(events), 20):
        grow(folder, events[start : start + 20])
        book.catch_up()
    book.close()
    shown_in_tensorboard(folder, events)


def test_what_an_interruption_left_is_written_anew(whole: StudyFolder, tmp_path: Path) -> None:
    """A first session dies without a word, a second leaves in order, a third finishes: nothing is
    there twice; finished records are not touched.
    """
    folder, events = started(tmp_path / "s", whole), whole.events()
    place = folder.path / "loggers" / "tensorboard"
    grow(folder, events[:45])
    abandoned = Logbook(folder, TOOLS["tensorboard"])
    abandoned.catch_up()
    grow(folder, events[45:80])
    second = Logbook(folder, TOOLS["tensorboard"])
    second.catch_up()
    second.close()
    shown_in_tensorboard(folder, events[:80])
    done = [r.number for r in trials(events[:80]) if r.ended is not None]
    stamps = {n: sorted((place / f"trial-{n:04d}").iterdir()) for n in done}
    assert done
    grow(folder, events[80:])
    third = Logbook(folder, TOOLS["tensorboard"])
    third.catch_up()
    third.close()
    shown_in_tensorboard(folder, events)
    assert stamps == {n: sorted((place / f"trial-{n:04d}").iterdir()) for n in done}


def test_mlflow_keeps_one_run_for_a_trial(
    whole: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder, events = started(tmp_path / "my study", whole), whole.events()
    for end in (40, 60):
        grow(folder, events[40 if end == 60 else 0 : end])
        book = Logbook(folder, TOOLS["mlflow"])
        book.catch_up()
        book.close()
    found = of_mlflow((folder.path / "loggers" / "mlflow").as_uri(), "digits")
    records = [r for r in trials(events[:60]) if r.launches]
    assert sorted(found) == [f"trial-{r.number:04d}" for r in records]
    for record in records:
        run, curves = found[f"trial-{record.number:04d}"]
        close_to(curves, expected(folder, record), rel=1e-12)
        assert run.info.status == ("FINISHED" if record.ended else "FAILED")
        told = settings(folder.spec(), record)
        assert run.data.params == {key: str(value) for key, value in told.items()}
    assert [p.name for p in tmp_path.iterdir()] == ["my study"]
