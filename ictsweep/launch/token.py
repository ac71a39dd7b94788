"""Ray's token: shown to a cluster that asks for it, and to no other.

Ray shows it to clusters that it finds by itself, whether they know tokens or not, and never to one
whose address is given. Either can be wrong: the first loses every actor, the second waits for 20 s
and says that it failed to connect.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from ray import _raylet
from ray.exceptions import AuthenticationError, RayError

from ictsweep.errors import UserError

_MODE = "RAY_AUTH_MODE"
_core: Any = _raylet  # compiled, without types


@contextlib.contextmanager
def admitted(address: str | None) -> Iterator[None]:
    """What is done with the cluster at host:port is done with a token if and only if it wants one;
    None is one of our own, for which Ray makes a token. UserError if it wants one that we do not
    have. A RAY_AUTH_MODE that is set is left as it is, and an unset one is unset again.
    """
    chosen = os.environ.get(_MODE)
    try:
        if address is not None:
            _find_mode(address, chosen)
        yield
    finally:
        if chosen is None:
            _speak(None)


def _find_mode(address: str, chosen: str | None) -> None:
    if chosen is None:
        _speak("disabled")
    if _lets_in(address):
        return
    if chosen is None:
        _speak("token")
    if chosen is not None or not _has_token() or not _lets_in(address):
        raise UserError(_refused(address, chosen))


def _speak(mode: str | None) -> None:
    """Use this mode in this process and those that it starts (None: Ray's default)."""
    os.environ.pop(_MODE, None)
    if mode is not None:
        os.environ[_MODE] = mode
    _core.Config.initialize("")
    _core.AuthenticationTokenLoader.instance().reset_cache()


def _has_token() -> bool:
    return _core.AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True)


def _lets_in(address: str) -> bool:
    """Whether Ray's head answers us as we speak now; UserError if what answers is no head."""
    try:
        with _silence():  # Ray's core prints what it also raises
            _core.GcsClient(address=address)
    except AuthenticationError:
        return False
    except RayError as error:
        gist = str(error).strip().splitlines()[-1]
        raise UserError(f"something answers at {address}, but not as Ray does: {gist}") from None
    return True


def _refused(address: str, chosen: str | None) -> str:
    how = "" if chosen in (None, "token") else f", and {_MODE} is {chosen}"
    return (
        f"the Ray cluster at {address} lets nobody in without its token{how}: copy "
        "~/.ray/auth_token from the cluster's head to this machine, or set RAY_AUTH_TOKEN to it."
    )


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing reaches standard error, not even from compiled code."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
