"""Placement groups, in which a trial's workers hold their places, and those that nobody will give
back: Ray keeps a group that an actor made (a run's controller) for as long as that actor's own
driver lives, and what Ray Train leaves to clean up after a killed controller does not always.
"""

from typing import Any

import ray
import ray.util
from ray._private import state as ray_state
from ray._raylet import PlacementGroupID
from ray.core.generated import gcs_pb2 as generated
from ray.util.placement_group import PlacementGroup

gcs_pb2: Any = generated  # its classes are made at run time
state: Any = ray_state.state
_HOLDING = (
    gcs_pb2.PlacementGroupTableData.PENDING,
    gcs_pb2.PlacementGroupTableData.CREATED,
    gcs_pb2.PlacementGroupTableData.RESCHEDULING,
)


def release(group: str) -> None:
    """Remove a placement group (hexadecimal id)."""
    ray.util.remove_placement_group(PlacementGroup(PlacementGroupID(bytes.fromhex(group))))


def release_left() -> None:
    """Remove what dead actors of this driver left."""
    ours = ray.get_runtime_context().get_job_id()
    for group in left():
        if group.creator_job_id.hex() == ours:
            release(group.placement_group_id.hex())


def left() -> list[Any]:
    """The cluster's groups (Ray's PlacementGroupTableData) that hold places, or wait for some, for
    actors or drivers that are dead.
    """
    accessor = state._connect_and_get_accessor()
    read = gcs_pb2.PlacementGroupTableData.FromString
    return [group for group in map(read, accessor.get_placement_group_table()) if _is_left(group)]


def _is_left(group: Any) -> bool:
    by_actor = set(group.creator_actor_id) - {0xFF}
    maker_dead = group.creator_actor_dead and (by_actor or group.creator_job_dead)
    return bool(group.state in _HOLDING and not group.is_detached and maker_dead)
