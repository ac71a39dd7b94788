"""What a disk refuses, in one sentence that says the way on (standard library only)."""

import errno
from pathlib import Path

from ictsweep.errors import PlaceError, StorageError, StorageFull

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ENXIO}
_PASSING = {  # of a network file system whose server is away for a moment
    errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR, errno.EREMOTEIO,
    errno.ENOTCONN, errno.ECONNRESET, errno.ECONNABORTED, errno.ECONNREFUSED,
    errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET,
}  # fmt: skip


def passing(error: BaseException) -> bool:
    """Whether what a disk refused may pass by itself."""
    return isinstance(error, OSError) and error.errno in _PASSING


def refused(error: OSError, place: str | Path) -> StorageError:
    """The storage error that stands for what the system refused at `place`."""
    what = f"{place}: {error.strerror or error}"
    if error.errno in FULL:
        return StorageFull(
            f"{what}. What was recorded before is kept: make room there, and the same study "
            "continues with `ictsweep resume`."
        )
    if error.errno in _CLOSED:
        return PlaceError(
            f"{what}. A study's folder is written to: make it writable, or choose another place "
            "with --storage."
        )
    if error.errno in _GONE:
        return StorageError(
            f"{what}. The folder was moved or removed, or its file system is no longer mounted: "
            "bring it back, and the study continues with `ictsweep resume`."
        )
    return StorageError(
        f"{what}. What was recorded before is kept; once the disk answers again, the study "
        "continues with `ictsweep resume`."
    )
