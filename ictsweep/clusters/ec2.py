"""What EC2 would say of a machine's `node_config`: unknown parameters, wrong types and values.

Ray's schema takes any node_config, and a typo there is found by AWS after the head is paid for.
The truth is botocore's model of RunInstances, installed with boto3; nothing is sent anywhere.
"""

from collections.abc import Mapping
from typing import Any

import botocore.session
from botocore.model import ListShape, StructureShape

from ictsweep.clusters.nodes import node_types
from ictsweep.problems import KeyPath, Problem, did_you_mean, shown

RAYS_OWN = ("SubnetIds",)  # keys that Ray takes out of node_config before EC2 sees it
RAYS_PART = ("MinCount", "MaxCount")  # ... and those that it adds
_TYPES = {"string": str, "integer": int, "boolean": bool, "double": float, "long": int}


def of_ec2(data: Mapping[str, Any]) -> list[Problem]:
    """All that RunInstances would refuse in any type's node_config."""
    model = botocore.session.get_session().get_service_model("ec2")
    shape = model.operation_model("RunInstances").input_shape
    found = []
    for node in node_types(data):
        path = (*node.path, "node_config")
        for key in RAYS_PART:
            if key in node.config:
                found.append(Problem((*path, key), "is Ray's to say; remove it", at_key=True))
        asked = {k: v for k, v in node.config.items() if k not in (*RAYS_OWN, *RAYS_PART)}
        found += _mismatches(shape, asked, path)
        if "InstanceType" not in asked:
            found.append(Problem(path, "InstanceType is missing", at_key=True))
    return found


def _mismatches(shape: Any, value: Any, path: KeyPath) -> list[Problem]:
    if isinstance(shape, StructureShape):
        return _of_block(shape, value, path)
    if isinstance(shape, ListShape):
        if not isinstance(value, list):
            return [Problem(path, f"got {shown(value)}; expected a list")]
        found = [_mismatches(shape.member, v, (*path, n)) for n, v in enumerate(value)]
        return [problem for problems in found for problem in problems]
    kind = _TYPES.get(shape.type_name)
    if kind and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        return [Problem(path, f"got {shown(value)}; expected {shape.type_name}")]
    known: list[str] = list(getattr(shape, "enum", ()))  # texts alone have it
    if known and value not in known:
        few = len(known) < 10
        options = ", ".join(known) if few else f"a {shape.name} known to the installed boto3"
        message = f"got {shown(value)}; expected {options}{did_you_mean(value, known)}"
        return [Problem(path, message)]
    return []


def _of_block(shape: Any, value: Any, path: KeyPath) -> list[Problem]:
    if not isinstance(value, Mapping):
        return [Problem(path, f"got {shown(value)}; expected a block of keys")]
    found = []
    for key, inner in value.items():
        if key in shape.members:
            found += _mismatches(shape.members[key], inner, (*path, key))
        else:
            message = f"EC2 has no such parameter{did_you_mean(key, list(shape.members))}"
            found.append(Problem((*path, key), message, at_key=True))
    return found
