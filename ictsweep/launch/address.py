"""Where the Ray cluster is: the one that is named, one that this machine belongs to, or none yet.

Ray itself waits for ever, without a word, for a cluster that does not answer.
"""

import os
import socket

from ray._private.services import canonicalize_bootstrap_address

from ictsweep.errors import UserError

ANSWER_S = 10.0


def locate(address: str | None) -> str | None:
    """host:port of the running cluster to join, None where a study makes its own.

    `address` is host:port, `auto` (RAY_ADDRESS, as in a Ray job, or what `ray start` made on this
    machine), `local` (one of our own in any case), or None (as auto, and one of our own where there
    is none). UserError when a cluster that was asked for is not there.
    """
    named = os.environ.get("RAY_ADDRESS") or address
    if named and "://" in named:
        raise UserError(
            f"{named}: a study is driven from inside its cluster; run it on one of its machines, "
            "or hand it in with `ray job submit --address http://HEAD:8265 -- ictsweep run ...`"
        )
    try:
        found = canonicalize_bootstrap_address(address)  # pyright: ignore[reportArgumentType]
    except ValueError:
        raise UserError(f"{named}: expected HOST:PORT, auto or local") from None
    except ConnectionError:
        raise UserError(
            "--address auto: no Ray cluster runs on this machine. Start one (`ray start --head`), "
            "give its address (HOST:6379), or leave --address out for one of this machine alone."
        ) from None
    if found is not None:
        host, port = found.rsplit(":", 1)
        _greet(host.strip("[]"), int(port), named)
    return found


def _greet(host: str, port: int, named: str | None) -> None:
    """UserError unless something listens there."""
    try:
        socket.create_connection((host, port), timeout=ANSWER_S).close()
    except OSError as error:
        reason = error.strerror or str(error)
        found = "" if named and named != "auto" else " (noted by `ray start` on this machine)"
        raise UserError(
            f"no Ray cluster answers at {host}:{port}{found}: {reason}. Start it again, name "
            "another with --address HOST:PORT, or `--address local` for one of this machine alone."
        ) from None
