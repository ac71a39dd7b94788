"""Rules of a KubeRay RayJob: fields of the custom resource (ray.io/v1), and an end to its cluster.

Kubernetes drops fields that it does not know without a word, so a typo there would start a cluster
that never ends. Pod templates are left to Kubernetes, all but their images and resources.
"""

import re
from collections.abc import Mapping
from typing import Any

from ictsweep.clusters.nodes import block
from ictsweep.problems import KeyPath, Problem, did_you_mean, shown

JOB: Mapping[str, type] = {
    "activeDeadlineSeconds": int, "backoffLimit": int, "rayClusterSpec": dict,
    "submitterPodTemplate": dict, "metadata": dict, "clusterSelector": dict,
    "submitterConfig": dict, "managedBy": str, "deletionStrategy": dict, "entrypoint": str,
    "runtimeEnvYAML": str, "jobId": str, "submissionMode": str, "entrypointResources": str,
    "entrypointNumCpus": float, "entrypointNumGpus": float, "ttlSecondsAfterFinished": int,
    "shutdownAfterJobFinishes": bool, "suspend": bool,
}  # fmt: skip
CLUSTER: Mapping[str, type] = {
    "headGroupSpec": dict, "workerGroupSpecs": list, "rayVersion": str,
    "enableInTreeAutoscaling": bool, "autoscalerOptions": dict, "headServiceAnnotations": dict,
    "suspend": bool, "gcsFaultToleranceOptions": dict, "managedBy": str, "authOptions": dict,
}  # fmt: skip
HEAD: Mapping[str, type] = {
    "serviceType": str, "headService": dict, "enableIngress": bool, "rayStartParams": dict,
    "template": dict,
}  # fmt: skip
GROUP: Mapping[str, type] = {
    "groupName": str, "replicas": int, "minReplicas": int, "maxReplicas": int, "numOfHosts": int,
    "rayStartParams": dict, "template": dict, "scaleStrategy": dict, "idleTimeoutSeconds": int,
    "suspend": bool,
}  # fmt: skip
_MOST_REPLICAS = 64
_SPEC: KeyPath = ("spec", "rayClusterSpec")


def known_fields(data: Mapping[str, Any]) -> list[Problem]:
    """Every field down to the pod templates exists, with a value of its type."""
    found = _fields(block(data, "spec"), JOB, ("spec",))
    found += _fields(block(data, *map(str, _SPEC)), CLUSTER, _SPEC)
    head = block(data, *map(str, _SPEC), "headGroupSpec")
    found += _fields(head, HEAD, (*_SPEC, "headGroupSpec"))
    for path, group in groups(data):
        found += _fields(group, GROUP, path)
    return found


def ends(data: Mapping[str, Any]) -> list[Problem]:
    """The cluster ends with the job, and the job at a deadline."""
    spec, found = block(data, "spec"), []
    if spec.get("shutdownAfterJobFinishes") is not True:
        message = "must be true, or the cluster outlives its study"
        found.append(Problem(("spec", "shutdownAfterJobFinishes"), message))
    if not spec.get("activeDeadlineSeconds"):
        message = "is missing: a study that hangs would keep its machines"
        found.append(Problem(("spec", "activeDeadlineSeconds"), message))
    for path, group in groups(data):
        most = group.get("maxReplicas")
        if not isinstance(most, int) or not 0 < most <= _MOST_REPLICAS:
            message = f"must be 1 to {_MOST_REPLICAS}; without it there is no limit"
            found.append(Problem((*path, "maxReplicas"), message))
    return found


def head_drives(data: Mapping[str, Any]) -> list[Problem]:
    """The head works for no trial."""
    path = (*_SPEC, "headGroupSpec", "rayStartParams")
    params = block(data, *map(str, path))
    if params.get("num-cpus") == "0":
        return []
    return [Problem((*path, "num-cpus"), 'must be "0": trials would slow the study down')]


def same_ray(data: Mapping[str, Any]) -> list[Problem]:
    """Every image and `rayVersion` are of one version of Ray."""
    said = block(data, *map(str, _SPEC)).get("rayVersion")
    head = ((*_SPEC, "headGroupSpec"), block(data, *map(str, _SPEC), "headGroupSpec"))
    found = []
    for path, group in [head, *groups(data)]:
        for number, image in enumerate(_images(group)):
            tag = re.search(r"ray:(\d+\.\d+\.\d+)", str(image))
            if tag and tag.group(1) != said:
                place = (*path, "template", "spec", "containers", number, "image")
                found.append(Problem(place, f"{image}, but rayVersion is {said}"))
            if str(image).endswith(":latest") or ":" not in str(image):
                place = (*path, "template", "spec", "containers", number, "image")
                found.append(Problem(place, f"{image} names no version"))
    return found


def groups(data: Mapping[str, Any]) -> list[tuple[KeyPath, Mapping[str, Any]]]:
    """The worker groups, with their places."""
    given = block(data, *map(str, _SPEC)).get("workerGroupSpecs") or ()
    return [
        ((*_SPEC, "workerGroupSpecs", number), group)
        for number, group in enumerate(given)
        if isinstance(group, Mapping)
    ]


def _fields(values: Mapping[str, Any], known: Mapping[str, type], path: KeyPath) -> list[Problem]:
    found = []
    for key, value in values.items():
        if key not in known:
            message = f"KubeRay has no such field{did_you_mean(key, known)}"
            found.append(Problem((*path, key), message, at_key=True))
        elif not _is(value, known[key]):
            message = f"got {shown(value)}; expected {known[key].__name__}"
            found.append(Problem((*path, key), message))
    return found


def _is(value: Any, kind: type) -> bool:
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    return isinstance(value, (int, float) if kind is float else kind)


def _images(group: Mapping[str, Any]) -> list[Any]:
    containers = block(group, "template", "spec").get("containers") or ()
    return [c.get("image") for c in containers if isinstance(c, Mapping)]


RULES = (known_fields, ends, head_drives, same_ray)
