"""Machines that the cluster's autoscaler asks for in vain: no capacity, no quota, no permission."""

import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ray._private.worker import global_worker
from ray.core.generated import autoscaler_pb2
from ray.exceptions import RpcError

FRESH_S = 120.0  # the autoscaler asks again within seconds: an older refusal is over
# Ray 2.60 tells that a request failed, but writes why to the autoscaler's log alone.
LOG = "monitor.log"
_WHY = re.compile(
    r"Failed to launch \d+ nodes of type (\S+): (?:Node Launch Exception \((\w+)\): )?(.*)"
)
_READ = 64 << 10  # bytes of the log's end
_LONGEST = 200
_words: Any = autoscaler_pb2  # generated, without types
_here: Any = global_worker


def refused() -> str:
    """Why no machine comes; "" where nothing was refused lately, or no autoscaler is there."""
    reply = _words.GetClusterStatusReply()
    try:
        reply.ParseFromString(_here.gcs_client.get_cluster_status(timeout_s=5))
    except RpcError:
        return ""  # whoever asks looks again soon
    kind = latest(reply.autoscaling_state.failed_instance_requests, time.time())
    return f"{kind}: {why(kind, _end(Path(_here.node.get_logs_dir_path()) / LOG))}" if kind else ""


def latest(failed: Iterable[Any], now: float) -> str:
    """The machine type of the latest failed request; "" if none is fresh at `now` (seconds since
    the epoch).
    """
    fresh = [request for request in failed if now - request.failed_ts < FRESH_S]
    return max(fresh, key=lambda one: one.failed_ts).ray_node_type_name if fresh else ""


def why(kind: str, log: str) -> str:
    """What the cloud said when machines of a type were last asked for, in one line that says the
    same as long as the reason is the same.
    """
    said = [found for found in _WHY.findall(log) if found[0] == kind]
    if not said:
        return f"the head's {LOG} says why"  # this is another machine
    _, code, words = said[-1]
    return (f"{code}: {words}" if code else words)[:_LONGEST]


def _end(path: Path) -> str:
    """The end of a file; "" if there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _READ))
        return file.read().decode(errors="replace")
