"""Who holds a study: a process, as it names itself in a lease."""

import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A driver. `kernel` names the running system and its room of process numbers ("" where that is
    unknown), `began` when the process began there: with both, a dead process is recognised at once
    by others on its machine. `token` is like no other driver's.
    """

    host: str
    process: int
    kernel: str
    began: str
    token: str

    @staticmethod
    def myself() -> "Holder":
        """This process, with a new token."""
        process = os.getpid()
        return Holder(
            host=os.uname().nodename, process=process, kernel=_kernel(), began=_began(process),
            token=secrets.token_hex(16),
        )  # fmt: skip

    @staticmethod
    def read(facts: dict[str, Any]) -> "Holder":
        """A holder from the plain values of a lease, whatever somebody made of them."""
        process = facts.get("process")
        return Holder(
            host=str(facts.get("host", "a host that is not named")),
            process=process if isinstance(process, int) else 0,
            kernel=str(facts.get("kernel", "")),
            began=str(facts.get("began", "")),
            token=str(facts.get("token", "")),
        )

    @property
    def dead(self) -> bool:
        """Whether this is known to be over: a process of this machine that is no more. Of other
        machines nothing is known.
        """
        here = _kernel()
        return bool(here) and self.kernel == here and _began(self.process) != self.began

    def __str__(self) -> str:
        return f"{self.host}, process {self.process}"


def _kernel() -> str:
    """The boot of this system and the name space of its process numbers (Linux)."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return ""


def _began(process: int) -> str:
    """When a process began, in the kernel's ticks since boot; "" if there is none."""
    with contextlib.suppress(OSError):
        after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return "" if after_name[0] == "Z" else after_name[19]
    return ""
