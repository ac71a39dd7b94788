"""What the autoscaler was refused, in words for people."""

from types import SimpleNamespace

import pytest

from ictsweep.launch.refusals import FRESH_S, latest, why

LOG = """
2026-11-27 14:06:09 INFO node_provider.py:485 -- Launching 1 nodes of type l4.
2026-11-27 14:06:09 INFO node_provider.py:491 -- Failed to launch 1 nodes of type l4: \
Node Launch Exception (InsufficientInstanceCapacity): We have no g6.2xlarge (now): try others.
2026-11-27 14:06:14 INFO node_provider.py:491 -- Failed to launch 2 nodes of type l4x4: \
Unable to locate credentials
"""


def request(failed_ts: float, kind: str = "l4") -> SimpleNamespace:
    return SimpleNamespace(ray_node_type_name=kind, failed_ts=failed_ts)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("l4", "InsufficientInstanceCapacity: We have no g6.2xlarge (now): try others."),
        ("l4x4", "Unable to locate credentials"),
        ("h100x8", "the head's monitor.log says why"),
    ],
)
def test_the_reason_is_what_the_cloud_said_last_of_that_type(kind: str, said: str) -> None:
    assert why(kind, LOG) == said


def test_the_latest_counts_and_an_old_one_is_over() -> None:
    failed = [request(1002.0, "l4x4"), request(1000.0)]
    assert latest(failed, 1003.0) == "l4x4"
    assert latest(failed, 1002.0 + FRESH_S) == ""
    assert latest([], 0.0) == ""
