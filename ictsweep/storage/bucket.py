"""The objects under a prefix of a bucket: the few requests that a study is kept with.

Every request is tried again while its failure may pass (`Patience`); what stays is a StorageError.
The conditions make writing safe between writers that cannot see each other: `put_new` creates an
object or says that there is one (If-None-Match), `put_over` replaces exactly the version that was
read (If-Match).
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

from ictsweep import disk
from ictsweep.errors import StorageError, UserError
from ictsweep.patience import RUNNING, Patience
from ictsweep.storage.answers import code, passing, refused
from ictsweep.storage.place import BucketPlace

T = TypeVar("T")
_CHANGED = {"PreconditionFailed", "412"}
_ABSENT = {"NoSuchKey", "NotFound", "404"}
_MOST_AT_ONCE = 1000  # deletions in one request
_PART = 64 << 20  # bytes; larger files are sent in parts
# A cloud machine's own service tells it its role's credentials. A machine at work may miss the
# second that boto3 waits for it, once, and what has no credentials then never gets any.
_ROLE = {"metadata_service_timeout": 2, "metadata_service_num_attempts": 3}


@dataclass(frozen=True, kw_only=True)
class Stat:
    """An object of a listing: its name under the prefix, its version and its bytes."""

    name: str
    etag: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Found:
    """An object that was read. `age_s` is the time since it was written, by the server's clock
    alone; None if the server does not tell.
    """

    body: bytes
    etag: str
    age_s: float | None
    metadata: Mapping[str, str] = field(default_factory=dict)


class Connection:
    """boto3's client, made when it is first used. It tries everything once (`Patience` tries
    again), and hangs on nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Any = None

    def client(self, place: BucketPlace) -> Any:
        """The client; UserError if there can be none, which names `place`."""
        with self._lock:
            if self._made is None:
                self._made = _client(place)
            return self._made


def _client(place: BucketPlace) -> Any:
    try:
        import boto3.session
        import botocore.session
        from botocore.config import Config
    except ImportError:
        raise UserError(
            f"{place}: studies in a bucket need boto3, which is not installed: "
            "pip install 'ictsweep[s3]'"
        ) from None
    once = Config(
        connect_timeout=5, read_timeout=30, max_pool_connections=32,
        retries={"total_max_attempts": 1},
    )  # fmt: skip
    core = botocore.session.get_session()
    for name, least in _ROLE.items():
        core.set_config_variable(name, max(least, int(core.get_config_variable(name) or 0)))
    try:
        return boto3.session.Session(botocore_session=core).client("s3", config=once)
    except ValueError as error:
        raise UserError(f"{place}: {error}; see AWS_ENDPOINT_URL") from None


class Bucket:
    """A place in a bucket. It may be pickled; each process connects by itself, once for all places
    that were derived from one another.
    """

    def __init__(
        self, place: BucketPlace, patience: Patience = RUNNING, line: Connection | None = None
    ) -> None:
        self.place, self.patience = place, patience
        self._line = Connection() if line is None else line

    def __reduce__(self) -> tuple[Any, ...]:
        return (Bucket, (self.place, self.patience))

    def at(self, name: str) -> "Bucket":
        """A place in this one."""
        return Bucket(self.place / name, self.patience, self._line)

    def with_patience(self, patience: Patience) -> "Bucket":
        """The same place, its server waited for as long as is said."""
        return Bucket(self.place, patience, self._line)

    def get(self, name: str) -> Found | None:
        """An object, None if there is none."""

        def read() -> Found:
            answer = self._client.get_object(**self._at(name))
            with closing(answer["Body"]) as body:  # its own `with` would skip its checks
                content = body.read()
            return Found(
                body=content, etag=answer["ETag"], age_s=_age(answer), metadata=answer["Metadata"]
            )

        return self._or_none(read, _ABSENT)

    def put(self, name: str, body: bytes, metadata: Mapping[str, str] | None = None) -> str:
        """Write an object; its version."""
        return self._try(lambda: self._put(name, body, metadata))

    def put_new(
        self, name: str, body: bytes, metadata: Mapping[str, str] | None = None
    ) -> str | None:
        """Write an object that does not exist yet; its version, None if it exists.

        After a lost answer it may exist because this very request wrote it: compare, if it matters.
        """
        return self._or_none(lambda: self._put(name, body, metadata, IfNoneMatch="*"), _CHANGED)

    def put_over(
        self, name: str, body: bytes, etag: str, metadata: Mapping[str, str] | None = None
    ) -> str | None:
        """Replace the version `etag` of an object, its metadata too; the new version, None if it is
        another by now or gone.
        """
        return self._or_none(
            lambda: self._put(name, body, metadata, IfMatch=etag), _CHANGED | _ABSENT
        )

    def listed(self, under: str, after: str | None = None) -> list[Stat]:
        """The objects whose names begin with `under`, in the order of their names; those past the
        name `after`.
        """
        found: list[Stat] = []
        more: dict[str, str] = {} if after is None else {"StartAfter": self.place.key(after)}
        begin = self.place.key(under)
        cut = len(begin) - len(under)
        while True:
            page = self._try(
                lambda more=more: self._client.list_objects_v2(
                    Bucket=self.place.bucket, Prefix=begin, **more
                )
            )
            found += [
                Stat(name=item["Key"][cut:], etag=item["ETag"], size=item["Size"])
                for item in page.get("Contents", ())
            ]
            if not page.get("IsTruncated"):
                return found
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def folders(self) -> list[str]:
        """The names of what lies in this place as folders do."""
        begin = self.place.key("")
        page = self._try(
            lambda: self._client.list_objects_v2(
                Bucket=self.place.bucket, Prefix=begin, Delimiter="/"
            )
        )  # the first thousand: people are to read them
        return [item["Prefix"][len(begin) : -1] for item in page.get("CommonPrefixes", ())]

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; those that are gone are no error."""
        keys = [{"Key": self.place.key(name)} for name in names]
        for first in range(0, len(keys), _MOST_AT_ONCE):
            some = {"Objects": keys[first : first + _MOST_AT_ONCE], "Quiet": True}
            answer = self._try(
                lambda some=some: self._client.delete_objects(Bucket=self.place.bucket, Delete=some)
            )
            for wrong in answer.get("Errors", ()):
                raise StorageError(
                    f"s3://{self.place.bucket}/{wrong['Key']}: cannot be deleted "
                    f"({wrong.get('Code')}: {wrong.get('Message')})"
                )

    def upload(self, name: str, path: Path) -> str:
        """Write a file of any size as an object; its version. FileNotFoundError without it."""
        in_parts = path.stat().st_size > _PART
        return self._try(lambda: (self._send_parts if in_parts else self._send)(name, path))

    def download(self, name: str, etag: str, path: Path) -> bool:
        """Bring the version `etag` of an object to `path`, whole or not at all; False if it is
        another by now or gone. A connection that breaks is taken up where it broke.
        """
        beside = path.with_name(f".{path.name}.part-{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                found = self._or_none(lambda: self._rest(name, etag, file), _CHANGED | _ABSENT)
                file.flush()
                os.fsync(file.fileno())
            if found is not None:
                os.replace(beside, path)
            return found is not None
        except OSError as error:
            raise disk.refused(error, path) from error
        finally:
            beside.unlink(missing_ok=True)

    def _rest(self, name: str, etag: str, file: Any) -> bool:
        """Add to a file what it lacks of an object."""
        at = file.tell()
        more = {"Range": f"bytes={at}-"} if at else {}
        answer = self._client.get_object(**self._at(name), IfMatch=etag, **more)
        with closing(answer["Body"]) as body:
            shutil.copyfileobj(body, file, 1 << 20)
        return True

    def _put(
        self, name: str, body: bytes, metadata: Mapping[str, str] | None, **condition: str
    ) -> str:
        answer = self._client.put_object(
            **self._at(name), Body=body, Metadata=dict(metadata or {}), **condition
        )
        return answer["ETag"]

    def _send(self, name: str, path: Path) -> str:
        with path.open("rb") as file:
            return self._client.put_object(**self._at(name), Body=file)["ETag"]

    def _send_parts(self, name: str, path: Path) -> str:
        from boto3.exceptions import S3UploadFailedError
        from boto3.s3.transfer import TransferConfig

        parts = TransferConfig(
            multipart_threshold=_PART, multipart_chunksize=_PART, max_concurrency=4
        )
        try:
            self._client.upload_file(str(path), **self._at(name), Config=parts)
        except S3UploadFailedError as error:
            raise (error.__context__ or error) from None
        return self._client.head_object(**self._at(name))["ETag"]

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self.place.bucket, "Key": self.place.key(name)}

    def _or_none(self, attempt: Callable[[], T], codes: set[str]) -> T | None:
        """What `attempt` returns, None for an answer of these codes."""

        def answered() -> T | None:
            try:
                return attempt()
            except Exception as error:
                if code(error) in codes:
                    return None
                raise

        return self._try(answered)

    def _try(self, attempt: Callable[[], T]) -> T:
        try:
            return self.patience.through(attempt, passing)
        except Exception as error:
            if type(error).__module__.split(".")[0] not in ("botocore", "boto3", "urllib3"):
                raise
            raise refused(error, self.place) from error

    @property
    def _client(self) -> Any:
        return self._line.client(self.place)


def _age(answer: Mapping[str, Any]) -> float | None:
    """Seconds between an object's writing and this answer, both by the server's clock."""
    now = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    written: datetime | None = answer.get("LastModified")
    if now is None or written is None:
        return None
    return (parsedate_to_datetime(now) - written).total_seconds()
