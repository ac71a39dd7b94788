"""Clusters of namespace hosts for the tests of this folder; skipped, with the reason, where hosts
cannot be made.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.cluster.hosts import Network, why_not
from tests.cluster.rays import Rays


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Rays]]:
    """Makes clusters, of one host each that is not yet started; all are gone after the module."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    networks = []

    def make(name: str) -> Rays:
        networks.append(Network(tmp_path_factory.mktemp(name)))
        return Rays(networks[-1])

    yield make
    for network in networks:
        network.close()
