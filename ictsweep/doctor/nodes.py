"""What the nodes of a cluster say of themselves, and what is wrong with it (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ictsweep.doctor.findings import Finding, fail, ok, warn

_SKEW_S = 5.0
_LITTLE = 2 * 2**30


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node as a task on it saw it; "" in `silent` unless it did not answer.

    `skew_s` is its clock minus this machine's, known to within `within_s`. `storage` and `data`
    are None where they were not looked for: whether a file just written to the storage is seen
    there, and the digest of the data ("" and a reason in `data_error` where it cannot be read).
    """

    name: str
    silent: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    ray_gpus: float = 0.0
    torch_gpus: int = 0
    skew_s: float = 0.0
    within_s: float = 0.0
    free_bytes: int = 0
    storage: bool | None = None
    data: str | None = None
    data_error: str = ""


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """A placement group or an actor whose driver is dead, which still holds `resources`."""

    kind: str
    name: str
    resources: Mapping[str, float]


def judged_nodes(
    nodes: Sequence[Node], here: Mapping[str, str], data: str | None = None
) -> list[Finding]:
    """A line for every node where all is well, and one for everything that is not. `here` are this
    machine's versions, `data` the digest of the data here.
    """
    found = []
    for node in nodes:
        wrong = [fail(node.name, node.silent, "look after it, or take it out of the cluster")]
        if not node.silent:
            wrong = [
                *_versions(node, here), *_gpus(node), *_clock(node),
                *_disk(node), *_data(node, data),
            ]  # fmt: skip
        found += wrong or [ok(node.name, _well(node))]
    return found


def judged_orphans(orphans: Sequence[Orphan]) -> list[Finding]:
    """A line for each thing that a dead driver left."""
    if not orphans:
        return [ok("orphans", "none: no dead driver holds anything")]
    return [
        warn(
            "orphans", f"{orphan.kind} {orphan.name} of a dead driver holds {_held(orphan)}",
            "trials wait for it: remove it (ray.util.remove_placement_group, ray.kill)",
        )
        for orphan in orphans
    ]  # fmt: skip


def _well(node: Node) -> str:
    seen = ", ".join(
        text for text, true in (("storage", node.storage), ("data", node.data is not None)) if true
    )
    gpus = f"{node.torch_gpus} GPU{'' if node.torch_gpus == 1 else 's'}"
    return f"{gpus}, same versions, clock {node.skew_s:+.1f} s{', sees ' + seen if seen else ''}"


def _versions(node: Node, here: Mapping[str, str]) -> list[Finding]:
    other = [
        f"{name} {node.versions.get(name, 'none')} (here {mine})"
        for name, mine in here.items()
        if node.versions.get(name) != mine
    ]
    advice = "install the same versions on every node"
    return [fail(node.name, ", ".join(other), advice)] if other else []


def _gpus(node: Node) -> list[Finding]:
    if node.torch_gpus == int(node.ray_gpus):
        return []
    text = f"Ray counts {node.ray_gpus:g} GPUs, PyTorch sees {node.torch_gpus}"
    if node.torch_gpus < node.ray_gpus:
        return [fail(node.name, text, "look at the driver and at PyTorch's CUDA version")]
    return [warn(node.name, text, "the rest is not used: start Ray there with --num-gpus")]


def _clock(node: Node) -> list[Finding]:
    if abs(node.skew_s) - node.within_s <= _SKEW_S:
        return []
    text = f"its clock is {node.skew_s:+.1f} s off"
    return [warn(node.name, text, "nothing decides by it, but logs mislead: run chrony or ntpd")]


def _disk(node: Node) -> list[Finding]:
    found = []
    if node.storage is False:
        advice = "checkpoints would be lost: mount it on every node, or use s3://"
        found.append(fail(node.name, "does not see the storage", advice))
    if node.free_bytes < _LITTLE:
        text = f"{node.free_bytes / 2**30:.1f} GiB free for Ray's own files"
        found.append(warn(node.name, text, "make room in /tmp"))
    return found


def _data(node: Node, here: str | None) -> list[Finding]:
    if here is None or node.data == here:
        return []
    if node.data_error:
        return [fail(node.name, node.data_error, "put the data at the same path on every node")]
    return [fail(node.name, "its data are others than here", "copy the prepared data anew")]


def _held(orphan: Orphan) -> str:
    return ", ".join(f"{amount:g} {name}" for name, amount in orphan.resources.items()) or "nothing"
