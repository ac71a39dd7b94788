"""One process on clusters with and without tokens, one after the other."""

import os

import pytest
import ray
from ray.cluster_utils import Cluster

from ictsweep.launch.cluster import cluster

pytestmark = [pytest.mark.ray, pytest.mark.slow]

USAGE = "RAY_USAGE_STATS_ENABLED"  # Ray itself sets it, and leaves it


@ray.remote(num_cpus=0)
class Actor:
    """Its cluster speaks to whoever made it: a token that only one side knows keeps it from being
    born.
    """

    def answer(self) -> int:
        return 42


def lives() -> bool:
    return ray.get(Actor.remote().answer.remote(), timeout=30) == 42  # pyright: ignore


def settings() -> dict[str, str]:
    """What the environment says to Ray."""
    return {k: v for k, v in os.environ.items() if k.startswith(("RAY_", "TUNE_")) and k != USAGE}


def test_a_process_may_go_from_cluster_to_cluster() -> None:
    before = settings()
    with cluster("local"):  # Ray gives it a token
        assert lives()
    assert settings() == before
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})  # knows of none
    try:
        with cluster(made.address):
            assert os.environ["RAY_AUTH_MODE"] == "disabled"
            assert lives()
    finally:
        made.shutdown()
    assert settings() == before
