"""Names of places: a path on a disk, or `s3://bucket/prefix` in a bucket."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from ictsweep.errors import UserError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)  # a Path folds two slashes


@dataclass(frozen=True)
class BucketPlace:
    """A prefix in a bucket, without slashes at its ends ("": all of the bucket)."""

    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def __truediv__(self, name: str) -> "BucketPlace":
        return BucketPlace(self.bucket, f"{self.prefix}/{name}".strip("/"))

    @property
    def name(self) -> str:
        """The last part of the prefix."""
        return self.prefix.rpartition("/")[2]

    @property
    def parent(self) -> "BucketPlace":
        """The place that this one is in."""
        return BucketPlace(self.bucket, self.prefix.rpartition("/")[0])

    def key(self, name: str) -> str:
        """The key of an object under this place."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def mirror(self, mirrors: Path) -> Path:
        """Where its copy lies on this machine: studies of one storage lie side by side."""
        digest = hashlib.sha256(str(self.parent).encode()).hexdigest()[:16]
        return mirrors / digest / self.name


def bucket_place(place: str | Path) -> BucketPlace | None:
    """The place in a bucket that a URL names; None for a path. UserError for a URL of another kind
    or without a bucket.
    """
    matched = _SCHEME.fullmatch(str(place))
    if matched is None or Path(place).exists():
        return None
    if matched[1].lower() != "s3":
        raise UserError(
            f"{place}: studies are kept in a folder or in a bucket that speaks S3 "
            "(s3://BUCKET/PREFIX); for another server of that kind set AWS_ENDPOINT_URL"
        )
    bucket, _, prefix = matched[2].partition("/")
    if not bucket:
        raise UserError(f"{place}: names no bucket; write s3://BUCKET/PREFIX")
    return BucketPlace(bucket, prefix.strip("/"))


def within(storage: str | Path, name: str) -> str:
    """The place `name` under a storage, path or URL."""
    place = bucket_place(storage)
    return str(Path(storage) / name if place is None else place / name)
