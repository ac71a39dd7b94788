"""Credentials that a cloud machine's own service tells: at work it may answer late."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ictsweep.storage.bucket import Connection
from ictsweep.storage.place import BucketPlace
from tests.cluster.aws.metadata import Metadata, written
from tests.storage.server import CREDENTIALS

KEY = {
    "AccessKeyId": "of-the-role", "SecretAccessKey": "s", "SessionToken": "t",
    "Expiration": datetime.now(UTC) + timedelta(hours=6),
}  # fmt: skip


class Late(dict):
    """Roles that take their time at the first question."""

    def __init__(self, seconds: float) -> None:
        super().__init__({"127.0.0.1": ("role", written(KEY))})
        self._left = [seconds]

    def __contains__(self, address: object) -> bool:
        time.sleep(self._left.pop() if self._left else 0.0)
        return super().__contains__(address)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Metadata]:
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    made = Metadata("us-west-2", "127.0.0.1", 0, roles=Late(2.5))
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{made.port}/")
    yield made
    made.close()


def test_a_role_is_asked_for_until_it_is_told(service: Metadata) -> None:
    client = Connection().client(BucketPlace("b"))
    assert client._request_signer._credentials.access_key == "of-the-role"
