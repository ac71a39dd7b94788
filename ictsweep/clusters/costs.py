"""Rules of an AWS cluster file that keep it from costing money while nobody looks."""

from collections.abc import Mapping
from typing import Any

from ictsweep.clusters.nodes import ON_DEMAND, NodeType, block, commands, node_types, workers
from ictsweep.problems import Problem

MOST_WORKERS = 64  # a slip of the keyboard should not start a thousand machines
MOST_IDLE_MINUTES = 30
TAG = "project"


def capped(data: Mapping[str, Any]) -> list[Problem]:
    """Every number of machines has a hard limit."""
    limit = data.get("max_workers")
    if not isinstance(limit, int) or not 0 < limit <= MOST_WORKERS:
        said = "left out" if limit is None else f"is {limit}"
        message = f"{said}; the hard cap on all workers must be 1 to {MOST_WORKERS}"
        return [Problem(("max_workers",), message)]
    return [
        node.problem("has no max_workers of its own; write one (0 turns the type off)")
        for node in workers(data)
        if "max_workers" not in node.block
    ]


def nobody_waits(data: Mapping[str, Any]) -> list[Problem]:
    """No machine is kept while there is no work."""
    found = [
        node.problem(
            f"is {node.block['min_workers']}: billed day and night; write 0", "min_workers"
        )
        for node in workers(data)
        if node.block.get("min_workers")
    ]
    idle = data.get("idle_timeout_minutes")
    if not isinstance(idle, int | float) or not 0 < idle <= MOST_IDLE_MINUTES:
        said = "left out" if idle is None else f"is {idle}"
        message = f"{said}; idle workers must go within 1 to {MOST_IDLE_MINUTES} minutes"
        found.append(Problem(("idle_timeout_minutes",), message))
    return found


def terminated(data: Mapping[str, Any]) -> list[Problem]:
    """Machines that end are gone with their disks; stopped ones go on billing their disks."""
    found = []
    if block(data, "provider").get("cache_stopped_nodes") is not False:
        message = "must be false: stopped machines go on billing their disks"
        found.append(Problem(("provider", "cache_stopped_nodes"), message))
    for node in node_types(data):
        if node.config.get("InstanceInitiatedShutdownBehavior") != "terminate":
            message = "must be terminate, or a machine that powers itself off goes on billing"
            found.append(node.problem(message, "node_config", "InstanceInitiatedShutdownBehavior"))
        found += _kept_disks(node)
    return found


def _kept_disks(node: NodeType) -> list[Problem]:
    disks = node.config.get("BlockDeviceMappings") or ()
    return [
        node.problem(
            "must be true: the disk outlives its machine and goes on billing",
            "node_config", "BlockDeviceMappings", number, "Ebs", "DeleteOnTermination",
        )
        for number, disk in enumerate(disks)
        if isinstance(disk, Mapping) and block(disk, "Ebs").get("DeleteOnTermination") is not True
    ]  # fmt: skip


def spot(data: Mapping[str, Any]) -> list[Problem]:
    """Workers are spot instances unless their type's name says otherwise."""
    found = []
    for node in workers(data):
        options = block(node.config, "InstanceMarketOptions", "SpotOptions")
        if node.is_on and not node.is_spot and ON_DEMAND not in node.name:
            message = (
                "is on at the on-demand price, about three times spot's; make it spot "
                f"(InstanceMarketOptions: {{MarketType: spot}}) or put {ON_DEMAND} in its name"
            )
            found.append(node.problem(message))
        if node.is_spot and options.get("InstanceInterruptionBehavior", "terminate") != "terminate":
            message = "must be terminate: an interrupted machine that stops goes on billing"
            keys = ("InstanceMarketOptions", "SpotOptions", "InstanceInterruptionBehavior")
            found.append(node.problem(message, "node_config", *keys))
    return found


def one_kind(data: Mapping[str, Any]) -> list[Problem]:
    """One worker type is on: with several that fit, Ray mixes them in one trial, which then runs
    at the slowest one's pace.
    """
    on = [node for node in workers(data) if node.is_on]
    names = " and ".join(node.name for node in on)
    return [
        node.problem(
            f"{names} are on together: Ray mixes them in one trial; "
            "set max_workers: 0 on all but one", "max_workers",
        )
        for node in on[1:]
    ]  # fmt: skip


def stops_itself(data: Mapping[str, Any]) -> list[Problem]:
    """The head powers itself off when no study has run for a while, and workers do when their
    cluster is gone: Ray's autoscaler never ends the head, and a dead head ends no worker.
    """
    found = []
    for name, who in (
        ("head_start_ray_commands", "the head"), ("worker_start_ray_commands", "a lost worker"),
    ):  # fmt: skip
        if not any("ictsweep.clusters.autostop" in text for _, text in commands(data, name)):
            message = f"never starts ictsweep.clusters.autostop: {who} would be billed for ever"
            found.append(Problem((name,), message, at_key=True))
    return found


def tagged(data: Mapping[str, Any]) -> list[Problem]:
    """Machines and disks carry a `project` tag: the bill can be read by it, and the head may end
    only what carries it.
    """
    found = []
    for node in node_types(data):
        tags = node.config.get("TagSpecifications") or ()
        for kind in ("instance", "volume"):
            if not any(_has_tag(entry, kind) for entry in tags):
                message = f"has no {TAG!r} tag for its {kind}s"
                found.append(node.problem(message, "node_config", "TagSpecifications"))
    return found


def _has_tag(entry: Any, kind: str) -> bool:
    return (
        isinstance(entry, Mapping)
        and entry.get("ResourceType") == kind
        and any(tag.get("Key") == TAG for tag in entry.get("Tags") or ())
    )


RULES = (capped, nobody_waits, terminated, spot, one_kind, stops_itself, tagged)
