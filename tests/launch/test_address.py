"""Where a cluster is looked for, and what is said when it is not there."""

import socket
from collections.abc import Iterator

import pytest

from ictsweep.errors import UserError
from ictsweep.launch.address import _greet, locate


@pytest.fixture(autouse=True)
def _outside_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def port() -> Iterator[int]:
    """A port at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_who_listens_is_greeted(port: int) -> None:
    _greet("127.0.0.1", port, "127.0.0.1")


def test_a_cluster_that_does_not_answer_is_named(port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    with pytest.raises(UserError, match=rf"answers at 127.0.0.1:{closed}: Connection refused"):
        _greet("127.0.0.1", closed, f"127.0.0.1:{closed}")
    with pytest.raises(UserError, match=r"\(noted by `ray start` on this machine\)"):
        _greet("127.0.0.1", closed, None)


def test_a_host_that_does_not_exist_is_named_at_once() -> None:
    with pytest.raises(UserError, match=r"no Ray cluster answers at nowhere\.invalid:6379: "):
        locate("nowhere.invalid:6379")


@pytest.mark.parametrize("address", ["nonsense", "10.0.0.1"])
def test_an_address_needs_a_port(address: str) -> None:
    with pytest.raises(UserError, match=rf"{address}: expected HOST:PORT, auto or local"):
        locate(address)


@pytest.mark.parametrize("address", ["ray://10.0.0.1:10001", "http://10.0.0.1:8265"])
def test_clients_from_outside_are_told_how_to_hand_a_study_in(address: str) -> None:
    with pytest.raises(UserError, match="ray job submit"):
        locate(address)


def test_a_cluster_of_our_own_can_be_asked_for() -> None:
    assert locate("local") is None


def test_a_jobs_cluster_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "nowhere.invalid:1")
    with pytest.raises(UserError, match=r"nowhere\.invalid:1"):
        locate(None)
