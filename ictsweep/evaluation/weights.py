"""Weights that others publish: where they are, and how they get here, whole."""

import fcntl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from ictsweep.errors import UserError
from ictsweep.evaluation.feature_config import INCEPTION, INCEPTION_PORT, WEIGHTS, InceptionMode
from ictsweep.evaluation.weight_files import is_page, sha256
from ictsweep.files import flush_folder
from ictsweep.progress import Progress

_CHUNK = 1 << 20
_PATIENCE_S = 30
_BROKEN = (OSError, HTTPException)
_PARTIAL, _RANGE_NOT_SATISFIABLE = 206, 416


@dataclass(frozen=True, kw_only=True)
class Published:
    """A file that somebody publishes: its name, its address and the SHA-256 of its content."""

    name: str
    url: str
    sha256: str


# The TorchScript copy that StyleGAN2-ADA's authors publish; its hash as k-diffusion pins it
# (crowsonkb/k-diffusion, k_diffusion/evaluation.py).
_SCRIPTED = Published(
    name=INCEPTION,
    url=f"https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/{INCEPTION}",
    sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
)
# pytorch-fid's port (mseitzer/pytorch-fid); its name carries the first digits of its hash.
_PORT = Published(
    name=INCEPTION_PORT,
    url=f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{INCEPTION_PORT}",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)


def published(mode: InceptionMode) -> Published:
    """The file of Inception's weights that a mode needs."""
    return _PORT if mode == "legacy_pytorch" else _SCRIPTED


def fetch_inception(
    mode: InceptionMode, to: Path = WEIGHTS, source: Path | None = None
) -> Iterator[Progress]:
    """Put a mode's weights into the folder `to`: from the network, or from the local file `source`.

    As `fetch`. UserError without a network says which file to put where.
    """
    return fetch(published(mode), to, source)


def fetch(file: Published, to: Path, source: Path | None = None) -> Iterator[Progress]:
    """Put a published file into the folder `to`, complete and with the right hash, or not at all.

    A download that was cut goes on where it ended. A file that is there with the right hash is
    left as it is. UserError for another content, in the place or in `source`, a page of words in
    the file's stead, or no connection.
    """
    target = to / file.name
    if target.exists():
        yield from _verify(file, target)
        return
    if source is not None and not source.is_file():
        raise UserError(f"there is no file {source} to take {file.name} from")
    part = to / f".{file.name}.part"
    with _written(part), _alone(part):
        if target.exists():  # another process has put it there in between
            part.unlink(missing_ok=True)
            yield from _verify(file, target)
            return
        yield from _download(file, part) if source is None else _copy(source, part)
        _check_hash(file, part, str(source) if source else file.url)
        part.replace(target)
        flush_folder(to)


def _verify(file: Published, target: Path) -> Iterator[Progress]:
    size = target.stat().st_size
    if sha256(target) != file.sha256:
        raise UserError(
            f"{target} is there but is not the published file (its SHA-256 is not "
            f"{file.sha256}): move it away, then again"
        )
    yield Progress(size, size, "bytes")


def _check_hash(file: Published, part: Path, origin: str) -> None:
    found = sha256(part)
    if found == file.sha256:
        return
    with part.open("rb") as content:
        page = is_page(content.read(64))
    part.unlink()
    what = "a page of words" if page else "another content or a damaged copy"
    raise UserError(
        f"{origin} is {what}, not the published {file.name}: its SHA-256 is {found}, "
        f"expected {file.sha256}"
    )


def _copy(source: Path, part: Path) -> Iterator[Progress]:
    total = source.stat().st_size
    with source.open("rb") as content, part.open("wb") as out:
        while piece := content.read(_CHUNK):
            out.write(piece)
            yield Progress(out.tell(), max(out.tell(), total), "bytes")


def _download(file: Published, part: Path) -> Iterator[Progress]:
    have = part.stat().st_size if part.exists() else 0
    try:
        answer = _open(file.url, have)
    except urllib.error.HTTPError as error:
        if error.code == _RANGE_NOT_SATISFIABLE:  # all of it is here already, or too much
            return
        raise _unreachable(file, part, f"{error.code} {error.reason}") from None
    except _BROKEN as error:
        raise _unreachable(file, part, str(getattr(error, "reason", error))) from None
    with answer:
        have = have if answer.status == _PARTIAL else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else 0
        with part.open("ab" if have else "wb") as out:
            for piece in _pieces(file, part, answer):
                out.write(piece)
                have += len(piece)
                yield Progress(have, max(have, total), "bytes")
    if have < total:
        raise _unreachable(file, part, f"the answer ended at {have} of {total} bytes")


def _pieces(file: Published, part: Path, answer: HTTPResponse) -> Iterator[bytes]:
    """The rest of an answer; UserError where the connection breaks."""
    try:
        while piece := answer.read(_CHUNK):
            yield piece
    except _BROKEN as error:
        raise _unreachable(file, part, f"the answer broke off: {error}") from None


def _open(url: str, have: int) -> HTTPResponse:
    headers = {"Range": f"bytes={have}-"} if have else {}
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_PATIENCE_S)


def _unreachable(file: Published, part: Path, reason: str) -> UserError:
    return UserError(
        f"{file.url} could not be fetched ({reason}): run the command again where there is a "
        f"network, or copy that file to {part.parent / file.name}"
    )


@contextmanager
def _written(part: Path) -> Iterator[None]:
    """UserError where the folder or the disk does not take the file."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(f"{part} could not be written or read ({error.strerror})") from None


@contextmanager
def _alone(part: Path) -> Iterator[None]:
    """One process at a time puts the file there. The system drops the lock of a killed one."""
    with part.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process is fetching {part.name} right now") from None
        yield
