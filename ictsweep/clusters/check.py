"""All that can be known of a cluster file before it costs money."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ictsweep.clusters import costs, onprem, rayjob, safety
from ictsweep.clusters.file import ClusterFile
from ictsweep.clusters.nodes import block, folded
from ictsweep.problems import Problem, shown

Rule = Callable[[Mapping[str, Any]], list[Problem]]


def check(file: ClusterFile, folder: Path) -> list[Problem]:
    """Everything wrong with a cluster file; `folder` is where `ray up` will be called."""
    data = file.data
    if "kind" in data:
        return _of_kubernetes(data)
    kind = block(data, "provider").get("type")
    if kind == "aws":
        return _of_ray(data, lambda: _of_aws(data, folder))
    if kind == "local":
        return _of_ray(data, lambda: _apply(onprem.RULES, data))
    message = f"got {shown(kind)}; checked are aws, local, and Kubernetes' RayJob"
    return [Problem(("provider", "type"), message)]


def remarks(file: ClusterFile, home: Path) -> list[str]:
    """What is no mistake of the file and yet keeps it from working as it is: examples left in it,
    and what `ray up` needs on this machine.
    """
    found = []
    if examples := onprem.still_examples(file.data):
        found.append(f"put your machines' addresses in: {', '.join(examples)} belong to nobody")
    if "kind" in file.data:
        return found
    found += [
        f"{tool} is not on this machine, and `ray up` needs it"
        for tool in ("ssh", "rsync")
        if shutil.which(tool) is None
    ]
    for key in (block(file.data, "auth").get("ssh_private_key"), "~/.ray/auth_token"):
        if key and not Path(str(key).replace("~", str(home), 1)).exists():
            made = "; `ray get-auth-token --generate` makes it" if "auth_token" in key else ""
            found.append(f"{key} is not on this machine{made}")
    return found


def _of_ray(data: Mapping[str, Any], ours: Callable[[], list[Problem]]) -> list[Problem]:
    """Our rules where Ray's schema can read the file, what `ray up` says where they find nothing:
    one mistake should not be told many times.
    """
    from ictsweep.clusters.schema import of_schema, of_up

    return of_schema(data) or ours() or of_up(data)


def _of_aws(data: Mapping[str, Any], folder: Path) -> list[Problem]:
    from ictsweep.clusters.ec2 import of_ec2
    from ictsweep.clusters.pins import pinned

    nothing_else = safety.head_exists(data)
    if nothing_else:
        return nothing_else
    rules = _apply((*safety.RULES, *costs.RULES), data)
    return folded([*of_ec2(data), *rules, *pinned(data, folder)])


def _of_kubernetes(data: Mapping[str, Any]) -> list[Problem]:
    found = []
    for key, wanted in (("apiVersion", "ray.io/v1"), ("kind", "RayJob")):
        if data.get(key) != wanted:
            found.append(Problem((key,), f"got {shown(data.get(key))}; expected {wanted}"))
    return found or _apply(rayjob.RULES, data)


def _apply(rules: Iterable[Rule], data: Mapping[str, Any]) -> list[Problem]:
    return [problem for rule in rules for problem in rule(data)]
