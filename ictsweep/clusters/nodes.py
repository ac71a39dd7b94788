"""The machine types of a Ray cluster file, as its rules see them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ictsweep.problems import KeyPath, Problem

ON_DEMAND = "on_demand"  # a worker type that says so in its name may cost the full price


@dataclass(frozen=True)
class NodeType:
    """An entry of `available_node_types`."""

    name: str
    block: Mapping[str, Any]
    is_head: bool

    @property
    def path(self) -> KeyPath:
        """Where it stands in the file."""
        return ("available_node_types", self.name)

    @property
    def config(self) -> Mapping[str, Any]:
        """What EC2 is asked for."""
        return block(self.block, "node_config")

    @property
    def is_on(self) -> bool:
        """Whether the autoscaler may start machines of this type (a limit left out is no limit)."""
        return self.is_head or self.block.get("max_workers") != 0

    @property
    def is_spot(self) -> bool:
        """Whether its machines are spot instances."""
        return block(self.config, "InstanceMarketOptions").get("MarketType") == "spot"

    def problem(self, message: str, *keys: str | int) -> Problem:
        """Something wrong at `keys` inside the entry; at the nearest block when it is missing."""
        return Problem((*self.path, *keys), message)


def node_types(data: Mapping[str, Any]) -> list[NodeType]:
    """All types of the file, in its order."""
    head = data.get("head_node_type")
    types = block(data, "available_node_types")
    return [
        NodeType(name, entry, name == head)
        for name, entry in types.items()
        if isinstance(entry, Mapping)
    ]


def workers(data: Mapping[str, Any]) -> Iterator[NodeType]:
    """The types of the machines that work for trials."""
    return (node for node in node_types(data) if not node.is_head)


def folded(problems: Iterable[Problem]) -> list[Problem]:
    """The same mistake in several types, as it comes from a block that they merge, told once."""
    first: dict[tuple[KeyPath, str], Problem] = {}
    others: dict[tuple[KeyPath, str], list[str]] = defaultdict(list)
    for problem in problems:
        of_type = problem.path[:1] == ("available_node_types",)
        same = (problem.path[2:] if of_type else problem.path, problem.message)
        if same in first and of_type:
            others[same].append(str(problem.path[1]))
        first.setdefault(same, problem)
    return [
        replace(problem, message=f"{problem.message} (also in {', '.join(others[same])})")
        if others[same]
        else problem
        for same, problem in first.items()
    ]


def block(values: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """The block under `keys`; an empty one where there is none."""
    for key in keys:
        inner = values.get(key)
        values = inner if isinstance(inner, Mapping) else {}
    return values


def commands(data: Mapping[str, Any], *names: str) -> list[tuple[KeyPath, str]]:
    """The shell commands of the lists called `names`, with their places."""
    return [
        ((name, number), text)
        for name in names
        for number, text in enumerate(data.get(name) or ())
        if isinstance(text, str)
    ]
