"""What the studies of one storage share: feature networks that were trained once, and must be the
same on every machine that measures with them.

A name says what it was made of, so what has a name never changes; of two that were made at once
under one name, the first that was shared is everybody's.
"""

from pathlib import Path

from ictsweep.disk import refused
from ictsweep.files import write_atomic
from ictsweep.storage.remote import Remote

_SHARED = "extractor-"  # the beginning of their names


def bring(remote: Remote, cache: Path) -> None:
    """Bring what is shared and not here yet."""
    for stat in remote.bucket.listed(_SHARED):
        if not (cache / stat.name).exists():
            remote.bucket.download(stat.name, stat.etag, cache / stat.name)


def share(remote: Remote, cache: Path) -> bool:
    """Share what is here; True if something here gave way to what was shared before."""
    given_way = False
    paths = [path for path in sorted(cache.glob(f"{_SHARED}*")) if path.suffix in (".json", ".pt")]
    for path in paths:
        content = path.read_bytes()
        if remote.bucket.put_new(path.name, content) is None:
            found = remote.bucket.get(path.name)
            if found is not None and found.body != content:
                given_way = True
                try:
                    write_atomic(path, found.body)
                except OSError as error:
                    raise refused(error, path) from error
    return given_way
