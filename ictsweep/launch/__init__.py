"""A trial as Ray processes."""

from ictsweep.launch.cluster import cluster, hardware, machines, slots
from ictsweep.launch.driver import Machines, drive
from ictsweep.launch.mailbox import Mailbox, open_mailbox
from ictsweep.launch.worker import Assignment, RayRuntime, work

__all__ = [
    "Assignment",
    "Machines",
    "Mailbox",
    "RayRuntime",
    "cluster",
    "drive",
    "hardware",
    "machines",
    "open_mailbox",
    "slots",
    "work",
]
