"""An account and a user's machine for each module; skipped, with the reason, where there can be
none.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.cluster.aws.account import OWNER, Account
from tests.cluster.aws.client import Client
from tests.cluster.aws.files import aws_file
from tests.cluster.aws.machines import lacking
from tests.cluster.aws.studies import SPACE, BucketStudy
from tests.cluster.aws.transcript import Transcript
from tests.cluster.hosts import Network, why_not


class World(NamedTuple):
    """What a test looks at."""

    account: Account
    client: Client
    study: BucketStudy
    transcript: Transcript


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network without hosts."""
    reason = why_not() or lacking()
    if reason is not None:
        pytest.skip(reason)
    made = Network(tmp_path_factory.mktemp("network"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def world(network: Network) -> Iterator[World]:
    """An account in which nothing was prepared, and a user who has just cloned the repository."""
    transcript = Transcript()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OWNER.items():
            patch.setenv(name, value)
        patch.delenv("AWS_CA_BUNDLE", raising=False)
        account = Account(network, transcript)
        client = Client(network, transcript)
        client.write("search_spaces/small.yaml", SPACE)
        client.write("clusters/aws.yaml", aws_file())
        yield World(account, client, BucketStudy(network), transcript)
        account.close()
