"""`study.yaml` of a study in a bucket: what makes a prefix a study.

With the spec it carries the segment that the study's log begins with: a study that is begun anew
(because it had not asked a trial) changes both at once, and numbers of segments are used once only.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from ictsweep.disk import refused
from ictsweep.errors import StudyError
from ictsweep.files import write_atomic
from ictsweep.storage.bucket import Bucket

SPEC = "study.yaml"
_LAYOUT = "1"  # of the objects under a study's prefix


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A study's spec as it lies in the bucket, the first segment of its log, and a word that no
    other study of the same name has. `etag` is the object's version ("": it is not written yet).
    """

    spec: bytes
    first: int
    study: str
    etag: str = ""


def read_spec(bucket: Bucket) -> Begun | None:
    """The spec of a study, None where there is none. StudyError if another version of ictsweep laid
    the study out.
    """
    found = bucket.get(SPEC)
    if found is None:
        return None
    layout, first = found.metadata.get("layout", ""), found.metadata.get("first", "")
    if layout != _LAYOUT or not first.isdecimal():
        raise StudyError(
            f"{bucket.place / SPEC}: the study is laid out in version {layout or 'none'!r}; this "
            f"ictsweep reads version {_LAYOUT}. Use the ictsweep that wrote it; a study that was "
            "copied from a disk by hand is no study in a bucket."
        )
    study = found.metadata.get("study", "")
    return Begun(spec=found.body, first=int(first), study=study, etag=found.etag)


def write_spec(bucket: Bucket, folder: Path, begun: Begun) -> Begun:
    """Write the spec of a study, and its copy; what then lies in the bucket."""
    etag = bucket.put(SPEC, begun.spec, _metadata(begun))
    copy(folder / SPEC, begun.spec)
    return replace(begun, etag=etag)


def amend_spec(bucket: Bucket, folder: Path, begun: Begun, spec: bytes) -> Begun | None:
    """Give the study that began so another spec, and its copy; its log goes on where it is. What
    then lies in the bucket, None if somebody else wrote there meanwhile.
    """
    etag = bucket.put_over(SPEC, spec, begun.etag, _metadata(begun))
    if etag is None:  # unless the answer was lost on its way
        found = read_spec(bucket)
        if found is None or (found.study, found.spec) != (begun.study, spec):
            return None
        etag = found.etag
    copy(folder / SPEC, spec)
    return replace(begun, spec=spec, etag=etag)


def _metadata(begun: Begun) -> dict[str, str]:
    return {"layout": _LAYOUT, "first": str(begun.first), "study": begun.study}


def copy(path: Path, content: bytes) -> None:
    """Write a file of the copy, if it changed; StorageError if this disk cannot take it."""
    try:
        if not path.exists() or path.read_bytes() != content:
            write_atomic(path, content)
    except OSError as error:
        raise refused(error, path) from error
