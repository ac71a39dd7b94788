"""One writer of a folder: the operating system's lock on a file (flock).

It ends with the process that holds it, so nobody has to remove one that a killed process left. On a
network file system Linux makes it a lock of the server's, seen by all its clients; the file says
who holds it, for people.
"""

import errno
import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from ictsweep.disk import refused
from ictsweep.errors import Ousted, PlaceError, StudyError
from ictsweep.shell import command

LOCK = "lock"  # the file, in a study's folder
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_TRIES, _PAUSE_S = 20, 0.05  # `held` takes the lock for an instant to learn whether it is free


class FileLock:
    """The lock on a file of a study, from its making to `close`. `place` is the study's name for
    people. StudyError, naming the holder, if another has it; PlaceError where the file system has
    no locks.
    """

    def __init__(self, path: Path, place: str) -> None:
        self._path, self._place = path, place
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise refused(error, path) from error
        try:
            self._take()
        except BaseException:
            self.close()
            raise

    def confirm(self) -> None:
        """Raise Ousted unless the file at the path is the one that is locked here: somebody may
        have removed it, and another driver locked the next. OSError if the disk does not say.
        """
        os.stat(self._path.parent)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(self._path), os.fstat(self._handle)):
                return
        raise Ousted(
            f"{self._path}: this lock was removed or replaced while its study ran, so another "
            "driver may have begun. Nothing more is written here; see "
            f"`{command('status', self._place)}`."
        )

    def close(self) -> None:
        """Let go."""
        os.close(self._handle)

    def _take(self) -> None:
        for tries_left in reversed(range(_TRIES)):
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno != errno.EWOULDBLOCK or not tries_left:
                    raise self._refusal(error) from None
                time.sleep(_PAUSE_S)
        with suppress(OSError):  # on a full disk it is held all the same, by nobody's name
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, f"{os.uname().nodename}, process {os.getpid()}".encode(), 0)

    def _refusal(self, error: OSError) -> Exception:
        if error.errno in _NO_LOCKS:
            return PlaceError(
                f"{self._path}: this file system has no locks ({error.strerror}), so nothing would "
                "keep two drivers from writing one study. Mount it with locks (NFS: without "
                "nolock; Lustre: flock), or choose another place with --storage."
            )
        if error.errno != errno.EWOULDBLOCK:
            return refused(error, self._path)
        holder = os.pread(self._handle, 1000, 0).decode(errors="replace").strip()
        return StudyError(
            f"{self._place}: a driver is running this study ({holder or 'another process'}). Watch "
            f"it with `{command('status', self._place)}`, or stop that process first."
        )


def held(path: Path) -> bool:
    """Whether somebody holds the lock (as far as this machine can tell)."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno == errno.EWOULDBLOCK
    return False
