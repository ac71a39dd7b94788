"""Commands on studies in buckets: by URL alone, from a machine that never saw the study."""

from pathlib import Path

import pytest

from ictsweep.errors import StudyError
from ictsweep.records import Event
from ictsweep.storage.place import BucketPlace
from ictsweep.study.store import Log, StudyFolder
from tests.report.fixture import write_study
from tests.storage.server import Server


@pytest.fixture
def study(place: BucketPlace, tmp_path: Path) -> StudyFolder:
    """A finished study, made on a machine that sent its trials' files and is gone."""
    folder = write_study(str(place))  # type: ignore[arg-type]
    folder.keep("trials")
    (tmp_path / "home").rename(tmp_path / "gone")
    return folder


@pytest.mark.parametrize("by_name", [False, True])
def test_a_study_is_shown_by_its_url_alone(call, study: StudyFolder, by_name: bool) -> None:
    storage, _, name = study.place.rpartition("/")
    words = [name, "--storage", storage] if by_name else [study.place]
    code, out, err = call("status", *words)
    assert (code, err) == (0, "")
    assert "18/18 trials asked" in out


def test_its_report_has_the_trials_pictures(call, study: StudyFolder, tmp_path: Path) -> None:
    code, out, err = call("report", study.place)
    assert (code, err) == (0, "")
    page = Path(out.strip()).read_text()
    assert "data:image" in page
    here = StudyFolder.open(study.place)
    assert len(list(here.path.glob("trials/*/samples/*.png"))) >= 16


def test_a_name_that_is_none_is_told_those_there_are(call, study: StudyFolder) -> None:
    storage, _, name = study.place.rpartition("/")
    code, _, err = call("status", "studi", "--storage", storage)
    assert code == 2
    assert f"{storage}/studi: not a study folder" in err
    assert f"Under {storage} there is {name}; did you mean {name}?" in err


def test_a_study_under_way_says_the_url_to_go_on_with(call, place: BucketPlace) -> None:
    folder = write_study(str(place), until=6)  # type: ignore[arg-type]
    code, out, _ = call("status", folder.place)
    assert code == 0
    assert f"ictsweep resume {folder.place}" in out
    with Log(folder):
        assert "no driver is running" not in call("status", folder.place)[1]


def test_what_the_place_refuses_is_one_message(call, s3: Server, place: BucketPlace) -> None:
    for words, code, said in (
        (("status", "s3://nobodys/x/y"), 2, "Make the bucket nobodys"),
        (("status", "s3://"), 2, "names no bucket"),
        (("status", "s3://bucket"), 2, "s3://BUCKET/PREFIX/NAME"),
        (("status", "gs://bucket/x"), 2, "AWS_ENDPOINT_URL"),
        (("status", str(place)), 2, "not a study folder"),
    ):
        got, out, err = call(*words)
        assert (got, out, err.count("\n")) == (code, "", 1)
        assert err.startswith("ictsweep: ")
        assert said in err
    with s3.refusing(lambda method, path: True, 403, "AccessDenied"):
        got, _, err = call("status", str(place))
    assert (got, err.count("\n")) == (2, 1)


def test_files_of_a_study_are_kept_brought_and_removed(study: StudyFolder, tmp_path: Path) -> None:
    here = StudyFolder.open(study.place)
    here.write("trials/0002/config.yaml", b"seed: 1\n")
    (here.path / "rescored" / "x").mkdir(parents=True)
    (here.path / "rescored" / "x" / "0001.json").write_text("{}")
    here.keep("rescored")
    there = StudyFolder.open(study.place, tmp_path / "other")
    there.bring("rescored")
    there.bring_trials("config.yaml", "samples")
    assert (there.path / "rescored/x/0001.json").read_text() == "{}"
    assert (there.trial_dir(2) / "config.yaml").read_text() == "seed: 1\n"
    assert not (there.trial_dir(2) / "checkpoints").exists()
    there.remove("trials/0002/config.yaml", "trials/0003")
    assert not (there.path / "trials/0002/config.yaml").exists()
    assert not (there.path / "trials/0003").exists()
    here.bring_trials()
    assert not (here.trial_dir(3) / "samples").exists()
    remote = here.trial_remote(3)
    assert remote is not None
    assert remote.bucket.listed("") == []


def test_on_a_disk_the_same_words_do_what_is_left_to_do(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", until=9)
    folder.bring("rescored")
    folder.bring_trials()
    folder.keep("trials")
    assert folder.refresh()
    assert folder.trial_remote(1) is None
    assert folder.place == str(tmp_path / "s")
    folder.write("trials/0001/config.yaml", b"x")
    folder.remove("trials/0001", "trials/none")
    assert not folder.trial_dir(1).exists()
    with pytest.raises(StudyError, match="not a study folder"):
        StudyFolder.open(tmp_path)
    assert isinstance(folder.events()[0], Event)
