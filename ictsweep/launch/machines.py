"""What a trial is given, and how many workers find room on a cluster's nodes (no Ray: numbers)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# Ray marks the nodes that have a kind of accelerator with a resource of this name.
_KIND = "accelerator_type:"
_A_LITTLE = 0.001  # as Ray Train itself asks for of it
_ROUNDING = 1e-6  # 1 / 0.1 is 10, whatever 1 // 0.1 is

Resources = Mapping[str, float]  # of a node, by Ray's names


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What each worker of a trial is given. A worker trains on one GPU or on a part of one, and a
    GPU is shared by trials of one worker only: NCCL refuses two workers of a trial on one GPU.

    An exchange between workers that takes longer than `timeout_s` is given up.
    """

    workers: int
    cpus_per_worker: float
    gpus_per_worker: float
    accelerator_type: str | None = None
    timeout_s: int = 1800

    @property
    def gpus(self) -> float:
        """GPUs of all workers together."""
        return self.workers * self.gpus_per_worker

    def per_worker(self) -> dict[str, float]:
        """Ray's resources of one worker."""
        gpus = {"GPU": self.gpus_per_worker} if self.gpus_per_worker else {}
        return {"CPU": self.cpus_per_worker, **gpus}

    def needs(self) -> dict[str, float]:
        """`per_worker`, and the mark of the accelerator's kind."""
        kind = {_KIND + self.accelerator_type: _A_LITTLE} if self.accelerator_type else {}
        return self.per_worker() | kind


def places(need: Resources, nodes: Iterable[Resources]) -> int:
    """How many workers with that need fit on nodes of these resources."""
    return sum(
        min(math.floor(node.get(name, 0) / amount + _ROUNDING) for name, amount in need.items())
        for node in nodes
    )


def lack(each: Machines, nodes: Sequence[Resources]) -> str:
    """What is said of nodes on which not one trial fits: what is missing, and what to do."""
    needs = each.needs()
    kinds = sorted({name.removeprefix(_KIND) for node in nodes for name in node if _KIND in name})
    if "GPU" in needs and not any(node.get("GPU") for node in nodes):
        return (
            f"a trial needs {each.gpus:g} GPU(s), and Ray sees none on this cluster: check that "
            "`nvidia-smi` works on its nodes and that they were started with it working, or train "
            "on CPUs with `resources: {gpus_per_worker: 0}`"
        )
    if each.accelerator_type and each.accelerator_type not in kinds:
        there = f"the cluster has {', '.join(kinds)}" if kinds else "the cluster names none"
        return (
            f"resources.accelerator_type: no node has {each.accelerator_type}; {there}. Ray's "
            "names are like A100, H100, L4; without this key any GPU will do"
        )
    wanted = " and ".join(f"{amount:g} {name}" for name, amount in needs.items())
    return (
        f"a trial needs {each.workers} worker(s) with {wanted} each; the cluster has room for "
        f"{places(needs, nodes)}{_largest(needs, nodes)}: lower `resources` or give the study a "
        "larger cluster"
    )


def _largest(needs: Resources, nodes: Sequence[Resources]) -> str:
    """Which resource of one worker no node has enough of, ready to end a message."""
    most = {name: max((node.get(name, 0.0) for node in nodes), default=0.0) for name in needs}
    short = [name for name, amount in needs.items() if most[name] < amount]
    return "".join(f" (no node has more than {most[name]:g} {name})" for name in short)
