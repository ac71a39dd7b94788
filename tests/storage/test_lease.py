"""One writer of a bucket's study: by the server's clock, against two that come at once, against one
that slept, and against what people do to the lease.
"""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from ictsweep.errors import Ousted, PlaceError, StudyError
from ictsweep.storage import lease as module
from ictsweep.storage.bucket import Bucket
from ictsweep.storage.holder import Holder
from ictsweep.storage.lease import NAME, Lease, leased
from tests.storage.server import Server, once, writes


@pytest.fixture(autouse=True)
def _no_renewals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases are renewed when a test says so: a holder that sleeps is one that does not."""
    monkeypatch.setattr(module, "RENEWED_S", 3600.0)


def on_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made from now on comes from a machine that this one knows nothing of."""
    myself = Holder.myself
    monkeypatch.setattr(Holder, "myself", lambda: replace(myself(), kernel="other", host="far"))


def facts(bucket: Bucket) -> dict[str, object]:
    found = bucket.get(NAME)
    assert found is not None
    return json.loads(found.body)


def test_a_lease_lasts_a_minute_of_the_servers_time(
    s3: Server, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_another_machine(monkeypatch)
    first = Lease(bucket)
    for ahead, hint in ((0, r"\d s ago.*in [56]\d s"), (55, r"5\d s ago.*in \d s")):
        s3.ahead = timedelta(seconds=ahead)
        assert leased(bucket)
        with pytest.raises(StudyError, match=f"far, process .*{hint}"):
            Lease(bucket)
    s3.ahead = timedelta(seconds=62)
    assert not leased(bucket)
    second = Lease(bucket)
    assert leased(bucket)
    first.confirm()  # it has not heard of it
    first.renew()
    with pytest.raises(Ousted, match=r"another driver has taken.*far, process"):
        first.confirm()
    first.close()  # leaves the other's lease alone
    assert facts(bucket)["token"] == second.holder.token
    second.close()
    assert not leased(bucket)
    Lease(bucket).close()


def test_the_machines_own_clock_decides_nothing(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_another_machine(monkeypatch)
    first = Lease(bucket)
    monkeypatch.setattr("time.time", lambda: 4e9)
    with pytest.raises(StudyError, match="a driver is running"):
        Lease(bucket)
    first.close()


def test_of_many_that_take_a_stale_lease_one_has_it(
    s3: Server, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_another_machine(monkeypatch)
    for _ in range(3):
        Lease(bucket)
        s3.ahead += timedelta(seconds=61)
        barrier = threading.Barrier(6)
        with ThreadPoolExecutor(6) as pool:
            taken = list(pool.map(lambda _, b=barrier: take(bucket, b), range(6)))
        assert sorted(taken) == [False] * 5 + [True]
        s3.ahead += timedelta(seconds=61)


def take(bucket: Bucket, barrier: threading.Barrier) -> bool:
    barrier.wait()
    try:
        Lease(bucket)
    except StudyError:
        return False
    return True


def test_it_is_renewed_while_its_holder_lives(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed = threading.Event()
    renew = Lease.renew

    def watched(lease: Lease) -> None:
        renew(lease)
        if facts(bucket)["renewals"] == 3:
            renewed.set()

    monkeypatch.setattr(module, "RENEWED_S", 0.01)
    monkeypatch.setattr(Lease, "renew", watched)
    held = Lease(bucket)
    assert renewed.wait(30)
    held.confirm()
    held.close()
    assert not leased(bucket)


def test_a_renewal_that_fails_is_made_again_soon(
    s3: Server, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEWED_S", 0.01)
    monkeypatch.setattr(module, "_SOON_S", 0.01)
    held = Lease(bucket)
    before = held._renewals
    with s3.refusing(once(writes(NAME), 3), 403, "AccessDenied"):  # not waited for
        while held._renewals < before + 6:
            threading.Event().wait(0.01)
    held.confirm()
    held.close()


def test_a_lost_answer_loses_no_lease(s3: Server, bucket: Bucket) -> None:
    with s3.losing(once(writes(NAME))):
        held = Lease(bucket)  # the second try finds its own first
    with s3.losing(once(writes(NAME))):
        held.renew()
    held.confirm()
    held.renew()
    held.confirm()
    held.close()
    with s3.losing(once(writes(NAME), 2)):  # the lease is there, and free
        again = Lease(bucket)
    again.confirm()
    again.close()


def test_a_dead_process_of_this_machine_is_known_at_once(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    myself = Holder.myself
    monkeypatch.setattr(Holder, "myself", lambda: replace(myself(), began="12"))
    Lease(bucket)  # its number is now another process's
    monkeypatch.undo()
    assert not leased(bucket)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"process": "x", "host": 7}'])
def test_a_lease_that_somebody_edited_is_stale_when_it_is_old(
    s3: Server, bucket: Bucket, body: bytes
) -> None:
    bucket.put(NAME, body)
    with pytest.raises(StudyError, match="a driver is running"):
        Lease(bucket)
    s3.ahead = timedelta(seconds=61)
    Lease(bucket).close()


def test_a_lease_that_somebody_deleted_is_lost(bucket: Bucket) -> None:
    held = Lease(bucket)
    bucket.delete([NAME])
    held.renew()
    with pytest.raises(Ousted):
        held.confirm()
    held.close()
    assert bucket.get(NAME) is None


def test_a_server_that_ignores_conditions_is_refused(s3: Server, bucket: Bucket) -> None:
    with s3.forgetful(), pytest.raises(PlaceError, match=r"If-None-Match.*--storage"):
        Lease(bucket)


def test_letting_go_without_the_server_is_no_error(s3: Server, bucket: Bucket) -> None:
    held = Lease(bucket)
    with s3.refusing(writes(NAME), 403, "AccessDenied"):
        held.close()
    assert leased(bucket)
