"""Studies in buckets: one server for all tests, a new bucket for each."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from botocore.loaders import JSONFileLoader

from ictsweep.patience import Patience
from ictsweep.storage.bucket import Bucket
from ictsweep.storage.place import BucketPlace
from tests.storage.server import CREDENTIALS, Server


@pytest.fixture(scope="session", autouse=True)
def _models() -> Iterator[None]:
    """boto3 reads megabytes of JSON for every connection: in the tests once."""
    read = JSONFileLoader.load_file
    once = cache(lambda path: read(JSONFileLoader(), path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: once(path))
        yield


@pytest.fixture(scope="session")
def _server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def s3(_server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """The server, to which boto3 of this process and its children goes."""
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": _server.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # copies lie there; no credentials do
    monkeypatch.setattr("moto.s3.models.utcnow", lambda: _server.now().replace(tzinfo=None))
    _server.seen.clear()
    yield _server
    _server.faults.clear()
    _server.ahead *= 0


@pytest.fixture
def place(s3: Server, request: pytest.FixtureRequest) -> BucketPlace:
    """A place in a bucket of the test's own."""
    import boto3

    name = f"b{abs(hash(request.node.nodeid)) % 10**12}"
    boto3.session.Session().client("s3").create_bucket(Bucket=name)
    return BucketPlace(name, "some/prefix/study")


@pytest.fixture
def bucket(place: BucketPlace) -> Bucket:
    """The same, connected, with little patience."""
    return Bucket(place, Patience(total_s=1.0, first_s=0.01))
