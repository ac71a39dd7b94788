"""`ictsweep mirror`, `--mirror` and `--log` as they are typed."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import make_url

from ictsweep.errors import UserError
from ictsweep.mirror.tools import TOOLS, tools
from ictsweep.study.session import _public
from ictsweep.study.store import StudyFolder
from tests.conftest import Call
from tests.mirror.logs import read
from tests.mirror.servers import free_port


def test_it_makes_the_mirror_and_counts(call: Call, whole: StudyFolder, tmp_path: Path) -> None:
    code, out, err = call("mirror", str(whole.path), "sqlite:///m.db")
    assert (code, err) == (0, "")
    assert out == "'digits' in sqlite:///m.db: 5 complete, 12 pruned, 1 failed\n"
    assert len(read(make_url(f"sqlite:///{tmp_path}/m.db"))) == 18


def test_a_server_that_does_not_answer_is_one_message_without_the_password(
    call: Call, whole: StudyFolder
) -> None:
    url = f"postgresql+psycopg://owner:secret@127.0.0.1:{free_port()}/db"
    code, out, err = call("mirror", str(whole.path), url)
    assert (code, out) == (2, "")
    assert err.startswith("ictsweep: mirror postgresql+psycopg://owner:***@127.0.0.1")
    assert "Connection refused" in err
    assert "secret" not in err
    assert err.count("\n") == 1


def test_no_study_and_no_url_are_said_before_anything_is_made(call: Call, tmp_path: Path) -> None:
    assert call("mirror", "nowhere", "sqlite:///m.db")[0] == 2
    code, _, err = call("mirror", "nowhere", "m.db")
    assert code == 2
    assert "not the URL of a database" in err
    assert not (tmp_path / "m.db").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--mirror", "study.db"), "not the URL of a database"),
        (("--log", "tensorbord"), "did you mean tensorboard"),
        (("--log", "tensorboard,nothing"), "--log nothing: expected tensorboard, wandb, mlflow"),
    ],
)
def test_what_cannot_be_followed_into_is_said_before_the_study_begins(
    call: Call, tmp_path: Path, options: tuple[str, str], says: str
) -> None:
    for words in (("run", "space.yaml"), ("resume", "nowhere")):
        code, _, err = call(*words, *options)
        assert code == 2
        assert says in err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOOLS, "wandb", replace(TOOLS["wandb"], package="not_there"))
    with pytest.raises(
        UserError, match=r"not_there is not installed; `pip install 'ictsweep\[wandb\]'"
    ):
        tools("tensorboard,wandb")


def test_passwords_stay_out_of_the_manifest() -> None:
    words = [
        "--mirror", "postgresql+psycopg://owner:se:c@ret@host/db",
        "postgresql+psycopg:///db?host=h&password=secret&user=u", "sqlite:///a:b.db", "a@b",
    ]  # fmt: skip
    assert [_public(word) for word in words] == [
        "--mirror", "postgresql+psycopg://owner:***@host/db",
        "postgresql+psycopg:///db?host=h&password=***&user=u", "sqlite:///a:b.db", "a@b",
    ]  # fmt: skip
