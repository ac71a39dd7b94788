"""From a source to a folder of prepared pictures: atomic, resumable, checked."""

import errno
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ictsweep import __version__
from ictsweep.data.images import MIN_SIDE
from ictsweep.data.manifest import (
    MANIFEST,
    MANIFEST_VERSION,
    Manifest,
    read_manifest,
    write_manifest,
)
from ictsweep.data.partial import Partial, alone, discard
from ictsweep.data.prepared import file_digest, verify
from ictsweep.data.sources import Plan, Source
from ictsweep.disk import FULL
from ictsweep.errors import UserError
from ictsweep.progress import Progress

__all__ = ["prepare"]

_SPARE = 1 << 20  # bytes for the manifest, the journal and the file system's own needs
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


def prepare(source: Source, to: Path) -> Iterator[Progress]:
    """Read `source` into the folder `to`: `images.npy`, `labels.npy`, `manifest.json`.

    The folder appears when it is whole; until then the work is in `.NAME.partial` beside it. A kill
    at any moment, then the same call, continues after the last chunk and gives the same bytes. If
    `to` already has what the source would give, it is only verified. UserError for what is wrong
    with the source, for a `to` that holds something else, for a disk without room, and while
    another process prepares the same.
    """
    to = to.resolve()
    plan = source.plan()
    _check(plan)
    fingerprint = _fingerprint(plan)
    folder = to.parent / f".{to.name}.partial"
    with _system_errors(folder, plan.name):
        if _is_ready(to, plan, fingerprint):
            yield from verify(to)
            return
        with alone(folder):
            if _is_ready(to, plan, fingerprint):  # another process has finished in between
                discard(folder)
                return
            with _kept(Partial(folder, plan, fingerprint)) as partial:
                yield from _fill(partial, source, plan)
                yield from _finish(partial, plan, fingerprint)
                partial.move(to)


def _check(plan: Plan) -> None:
    c, h, w = plan.shape
    if plan.items == 0:
        raise UserError(f"{plan.name}: no pictures to prepare")
    if c not in (1, 3) or min(h, w) < MIN_SIDE:
        raise UserError(
            f"{plan.name}: pictures are {h}x{w} with {c} channels; 1 or 3 channels and at least "
            f"{MIN_SIDE}x{MIN_SIDE} are needed"
        )


def _fingerprint(plan: Plan) -> str:
    what = [MANIFEST_VERSION, plan.name, plan.kind, plan.shape, plan.labelled, plan.fingerprint]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]


def _is_ready(to: Path, plan: Plan, fingerprint: str) -> bool:
    """Whether `to` holds what the plan would give; UserError if it holds anything else."""
    if not to.exists() or (to.is_dir() and not any(to.iterdir())):
        return False
    if not (to / MANIFEST).is_file():
        raise UserError(
            f"{to}: exists and holds no prepared pictures; choose another folder (--to)"
        )
    there = read_manifest(to)
    if there.fingerprint == fingerprint:
        return True
    items = there.count + len(there.skipped)
    held = _described(there.name, there.kind, items, there.shape)
    asked = _described(plan.name, plan.kind, plan.items, plan.shape)
    same = ", but of other files or with other options" if held == asked else ""
    raise UserError(
        f"{to}: already holds other pictures: {held}; asked for are {asked}{same}. Delete {to} to "
        "replace them, or choose another folder (--to)"
    )


def _described(name: str, kind: str, items: int, shape: tuple[int, int, int]) -> str:
    c, h, w = shape
    return f"{name!r} ({kind}, {items:,} pictures, {h}x{w}, {c} channels)"


@contextmanager
def _kept(partial: Partial) -> Iterator[Partial]:
    """Close the work at the end, and leave none without pictures behind."""
    try:
        yield partial
    finally:
        partial.close()
        if partial.images == 0:
            discard(partial.folder)


def _fill(partial: Partial, source: Source, plan: Plan) -> Iterator[Progress]:
    """Read what is missing."""
    needed = partial.missing_bytes(plan.items) + _SPARE
    free = shutil.disk_usage(partial.folder).free
    if needed > free:
        raise UserError(
            f"{partial.folder.parent}: not enough room: {_size(needed)} are needed, {_size(free)} "
            "are free; make room or choose a folder on another disk (--to)"
        )
    if partial.items < plan.items:
        for chunk in source.read(plan, partial.items):
            partial.append(chunk)
            yield Progress(partial.items, plan.items, "images")
    assert partial.items == plan.items
    if partial.images == 0:
        raise UserError(f"{plan.name}: no pictures are left: all {plan.items:,} were skipped")


def _finish(partial: Partial, plan: Plan, fingerprint: str) -> Iterator[Progress]:
    """Headers, the digest of what lies on the disk, and the manifest last."""
    partial.write_headers()
    count = partial.images
    digest = yield from file_digest(partial.folder, count, plan.shape, plan.labelled)
    manifest = Manifest(
        version=MANIFEST_VERSION,
        name=plan.name,
        kind=plan.kind,
        count=count,
        shape=plan.shape,
        labelled=plan.labelled,
        classes=plan.classes,
        digest=digest,
        fingerprint=fingerprint,
        source=plan.source,
        resize=plan.resize,
        converted=dict(sorted(partial.converted.items())),
        skipped=tuple(partial.skipped),
        created_by=f"ictsweep {__version__}",
    )
    write_manifest(partial.folder, manifest)


@contextmanager
def _system_errors(folder: Path, name: str) -> Iterator[None]:
    """A full disk, or a folder that may not be written, as a UserError."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise UserError(
                f"{folder}: the disk is full (or a quota or a limit on file sizes is reached); "
                "make room and run the same command again: it continues"
            ) from error
        if error.errno in _REFUSED:
            raise UserError(
                f"{error.filename or folder}: {error.strerror} (while preparing {name!r})"
            ) from error
        raise


def _size(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
