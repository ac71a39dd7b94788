"""Rules of an AWS cluster file that keep a study's work safe, and its machines from strangers."""

import re
from collections.abc import Mapping
from typing import Any

from ictsweep.clusters.nodes import block, commands, node_types, workers
from ictsweep.problems import Problem

ANYWHERE = ("0.0.0.0/0", "::/0")
_AMI = re.compile(r"ami-([0-9a-f]{8}|[0-9a-f]{17})")
_RESOLVED = re.compile(r"resolve:ssm:/\S+")
_PLACEHOLDERS = ("0123456789abcdef0", "1234567890abcdef0", "12345678", "01234567")


def head_exists(data: Mapping[str, Any]) -> list[Problem]:
    """The head's type is one of the file's."""
    names = [node.name for node in node_types(data)]
    if data.get("head_node_type") in names:
        return []
    message = f"must be one of {', '.join(names)}"
    return [Problem(("head_node_type",), message)]


def head_drives(data: Mapping[str, Any]) -> list[Problem]:
    """The head is on demand, takes no trial, and holds the trials' drivers: a spot machine's loss
    then never takes a driver with it.
    """
    found = []
    for node in node_types(data):
        if not node.is_head:
            continue
        resources = block(node.block, "resources")
        for name in ("CPU", "GPU"):
            if resources.get(name) != 0:
                message = "must be 0: trials on the head would slow the study and its driver down"
                found.append(node.problem(message, "resources", name))
        if not resources.get("driver"):
            message = "is missing: trial drivers would run on spot machines and die with them"
            found.append(node.problem(message, "resources", "driver"))
        if node.is_spot:
            message = "the head must not be spot: its loss ends the study's driver"
            found.append(node.problem(message, "node_config", "InstanceMarketOptions"))
    return found


def one_driver_place(data: Mapping[str, Any]) -> list[Problem]:
    """Only the head offers `driver`."""
    return [
        node.problem("belongs to the head alone", "resources", "driver")
        for node in workers(data)
        if "driver" in block(node.block, "resources")
    ]


def profiles(data: Mapping[str, Any]) -> list[Problem]:
    """Every machine has an instance profile: Ray gives one to the head alone, and workers without
    one cannot reach S3. Never the head's on a worker: it may start machines.
    """
    found, heads = [], {}
    for node in sorted(node_types(data), key=lambda node: not node.is_head):
        profile = block(node.config, "IamInstanceProfile")
        name = profile.get("Name") or profile.get("Arn")
        keys = ("node_config", "IamInstanceProfile")
        if name is None:
            found.append(node.problem("is missing: without a profile there is no S3", *keys))
        elif node.is_head:
            heads[name] = node.name
        elif name in heads:
            message = f"is the head's ({name}), which may start machines; give workers their own"
            found.append(node.problem(message, *keys))
    return found


def metadata(data: Mapping[str, Any]) -> list[Problem]:
    """Credentials are given to those only who can ask with a token (IMDSv2)."""
    return [
        node.problem("must be required (IMDSv2)", "node_config", "MetadataOptions", "HttpTokens")
        for node in node_types(data)
        if block(node.config, "MetadataOptions").get("HttpTokens") != "required"
    ]


def images(data: Mapping[str, Any]) -> list[Problem]:
    """Every machine's AMI is named; Ray's default is years old."""
    found = []
    for node in node_types(data):
        ami = node.config.get("ImageId")
        fine = isinstance(ami, str) and (
            _RESOLVED.fullmatch(ami) or (_AMI.fullmatch(ami) and ami[4:] not in _PLACEHOLDERS)
        )
        if not fine:
            said = "is missing: Ray's default is years old" if ami is None else f"{ami} is no AMI"
            message = f"{said}; the command above it in clusters/aws.yaml finds a current one"
            found.append(node.problem(message, "node_config", "ImageId"))
    return found


def closed(data: Mapping[str, Any]) -> list[Problem]:
    """Nobody but the caller reaches SSH: Ray's own security group opens it to the world."""
    found = []
    group = block(data, "provider", "security_group")
    rules: list[Any] = list(group.get("IpPermissions") or ())
    for number, rule in enumerate(rules):
        ranges = [*(rule.get("IpRanges") or ()), *(rule.get("Ipv6Ranges") or ())]
        if {entry.get("CidrIp", entry.get("CidrIpv6")) for entry in ranges} & set(ANYWHERE):
            message = "is open to the whole world; `ictsweep cluster prepare-aws` opens your own"
            path = ("provider", "security_group", "IpPermissions", number)
            found.append(Problem(path, message))
    bare = [node for node in node_types(data) if not node.config.get("SecurityGroupIds")]
    if bare and not group.get("GroupName"):
        message = (
            "needs GroupName, that of the group which `ictsweep cluster prepare-aws` makes: "
            "Ray's own group opens SSH to the world"
        )
        found.append(Problem(("provider", "security_group"), message))
    return found


def inside(data: Mapping[str, Any]) -> list[Problem]:
    """Zones belong to the region."""
    provider = block(data, "provider")
    region, zones = provider.get("region"), provider.get("availability_zone")
    names = [zone.strip() for zone in zones.split(",")] if isinstance(zones, str) else []
    wrong = [name for name in names if not re.fullmatch(rf"{region}[a-z]", name)]
    message = f"{', '.join(wrong)} not in region {region}"
    return [Problem(("provider", "availability_zone"), message)] if wrong else []


def guarded(data: Mapping[str, Any]) -> list[Problem]:
    """Ray's ports ask for a token, and its dashboard listens on the head alone."""
    found = []
    for path, text in commands(data, "head_start_ray_commands", "worker_start_ray_commands"):
        if "ray start" not in text:
            continue
        if "RAY_AUTH_MODE=token" not in text:
            message = "starts Ray without RAY_AUTH_MODE=token: who reaches a port may run code"
            found.append(Problem(path, message))
        if re.search(r"--dashboard-host[= ](0\.0\.0\.0|::)", text):
            message = "opens the dashboard, which runs code; `ray dashboard FILE` needs 127.0.0.1"
            found.append(Problem(path, message))
    if not any(str(there).endswith(".ray/auth_token") for there in block(data, "file_mounts")):
        message = "must carry ~/.ray/auth_token: nodes and people share Ray's token by it"
        found.append(Problem(("file_mounts",), message, at_key=True))
    return found


def keyed(data: Mapping[str, Any]) -> list[Problem]:
    """A key of one's own is put on the machines under the name that EC2 knows it by."""
    if not block(data, "auth").get("ssh_private_key"):
        return []
    message = "is missing: with auth.ssh_private_key, EC2 must be told the key's name"
    return [
        node.problem(message, "node_config", "KeyName")
        for node in node_types(data)
        if "KeyName" not in node.config
    ]


RULES = (
    head_drives, one_driver_place, profiles, metadata, images, closed, inside, guarded, keyed,
)  # fmt: skip
