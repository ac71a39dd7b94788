"""Rules of a cluster file of machines that are there already (`provider: {type: local}`)."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from ictsweep.clusters.nodes import block, commands
from ictsweep.problems import Problem

_EXAMPLES = [ipaddress.ip_network(f"{n}/24") for n in ("192.0.2.0", "198.51.100.0", "203.0.113.0")]


def machines(data: Mapping[str, Any]) -> list[Problem]:
    """A head, and workers other than it, each named once."""
    provider = block(data, "provider")
    head, ips = provider.get("head_ip"), provider.get("worker_ips")
    if not head:
        return [Problem(("provider", "head_ip"), "is missing: the head's address or host name")]
    if not isinstance(ips, list) or not ips:
        return [Problem(("provider", "worker_ips"), "is missing: the workers' addresses")]
    twice = [n for n, ip in enumerate(ips) if ip == head or ip in ips[:n]]
    return [
        Problem(("provider", "worker_ips", n), f"{ips[n]} is named twice: each machine once")
        for n in twice
    ]


def joins(data: Mapping[str, Any]) -> list[Problem]:
    """Workers join: with the second version of Ray's autoscaler they never did (Ray 2.60)."""
    starts = commands(data, "head_start_ray_commands")
    if any("RAY_enable_autoscaler_v2=0" in text for _, text in starts):
        return []
    message = "needs RAY_enable_autoscaler_v2=0 before ray start: workers never join without"
    return [Problem(("head_start_ray_commands",), message, at_key=True)]


def person(data: Mapping[str, Any]) -> list[Problem]:
    """Ray can log in."""
    if block(data, "auth").get("ssh_user"):
        return []
    return [Problem(("auth", "ssh_user"), "is missing: who logs in to the machines")]


def still_examples(data: Mapping[str, Any]) -> list[str]:
    """The machines whose addresses belong to nobody (those of documentation)."""
    provider = block(data, "provider")
    given = [provider.get("head_ip"), *(provider.get("worker_ips") or ())]
    return [str(ip) for ip in given if _is_example(str(ip))]


def _is_example(ip: str) -> bool:
    if not re.fullmatch(r"[0-9.]+", ip):
        return False
    try:
        return any(ipaddress.ip_address(ip) in network for network in _EXAMPLES)
    except ValueError:
        return False


RULES = (machines, joins, person)
