"""One writer of a study in a bucket: an object that says who, renewed while it lives.

There is no lock that ends with its process in a bucket, so the holder writes the object anew every
15 s, and one that was not written for 60 s is stale. Both times are the server's: clocks of the
machines are never compared. Every change is conditional on the version that was read, so of two
that take a stale lease one does. A holder that was away too long (a laptop asleep, a network
parted) is ousted; should it not know that yet, the log's segments refuse it (storage.segments).
"""

import json
import logging
import threading
from dataclasses import asdict

from ictsweep.errors import Ousted, PlaceError, StorageError, StudyError
from ictsweep.patience import ASKING
from ictsweep.shell import command
from ictsweep.storage.bucket import Bucket, Found
from ictsweep.storage.holder import Holder
from ictsweep.storage.place import BucketPlace

NAME = "lease.json"
RENEWED_S = 15.0
STALE_S = 60.0
_SOON_S = 3.0  # after a renewal that failed

_log = logging.getLogger(__name__)


class Lease:
    """The lease on a study, from its making to `close`. StudyError, naming the holder, if another
    has it; PlaceError if the server does not keep conditions.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket.with_patience(ASKING)  # renewed again soon
        self.holder = Holder.myself()
        self._renewals = 0
        self._etag = self._take()
        self._ousted: Ousted | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def confirm(self) -> None:
        """Raise Ousted if another driver is known to have the lease."""
        if self._ousted is not None:
            raise self._ousted

    def close(self) -> None:
        """Let go: the next driver need not wait. Without the server it becomes stale by itself."""
        self._ended.set()
        self._thread.join()
        if self._ousted is None:
            try:
                self._bucket.put_over(NAME, b'{"free":true}', self._etag)
            except StorageError as error:
                _log.warning("the lease stays until it is stale: %s", error)

    def renew(self) -> None:
        """Write the lease anew; Ousted from now on if it is another's."""
        self._renewals += 1
        etag = self._bucket.put_over(NAME, self._body(), self._etag)
        if etag is None:
            found = self._bucket.get(NAME)
            if found is None or not self._mine(found):
                self._ousted = ousted(self._bucket.place, found and _holder(found))
                return
            etag = found.etag  # the answer to an earlier renewal was lost on its way
        self._etag = etag

    def _keep(self) -> None:
        wait = RENEWED_S
        while not self._ended.wait(wait) and self._ousted is None:
            try:
                self.renew()
                wait = RENEWED_S
            except Exception as error:  # whatever it is, the log's segments decide
                _log.warning("the lease could not be renewed: %s", error)
                wait = _SOON_S

    def _take(self) -> str:
        made = self._bucket.put_new(NAME, self._body())
        if made is not None:
            return self._kept_to(made)
        found = self._bucket.get(NAME)
        if found is None or not self._may_take(found):
            raise self._refusal(found)
        taken = self._bucket.put_over(NAME, self._body(), found.etag)
        if taken is not None:
            return taken
        found = self._bucket.get(NAME)  # another was faster, or the answer was lost on its way
        if found is None or not self._mine(found):
            raise self._refusal(found)
        return found.etag

    def _may_take(self, found: Found) -> bool:
        holder = _holder(found)
        return holder is None or holder.token == self.holder.token or _over(holder, found)

    def _mine(self, found: Found) -> bool:
        holder = _holder(found)
        return holder is not None and holder.token == self.holder.token

    def _kept_to(self, etag: str) -> str:
        """The version of the lease that was made, once the server has shown that it would have
        kept a second driver from making it.
        """
        if self._bucket.put_new(NAME, self._body()) is not None:
            raise PlaceError(
                f"{self._bucket.place}: this server writes an object that exists although it was "
                "asked not to (If-None-Match), so nothing would keep two drivers from writing one "
                "study. Use a server that keeps conditional writes, or another --storage."
            )
        return etag

    def _refusal(self, found: Found | None) -> StudyError:
        place, wait = self._bucket.place, ""
        holder = None if found is None else _holder(found)
        if found is not None and found.age_s is not None:
            left = max(0.0, STALE_S - found.age_s)
            wait = (
                f" It was heard of {max(0.0, found.age_s):.0f} s ago: should it be dead, the study "
                f"can be resumed in {left + 1:.0f} s."
            )
        return StudyError(
            f"{place}: a driver is running this study ({holder or 'another process'}). Watch it "
            f"with `{command('status', str(place))}`, or stop that process first.{wait}"
        )

    def _body(self) -> bytes:
        return json.dumps({**asdict(self.holder), "renewals": self._renewals}).encode()


def leased(bucket: Bucket) -> bool:
    """Whether a driver holds the study in a bucket now."""
    found = bucket.get(NAME)
    holder = None if found is None else _holder(found)
    return found is not None and holder is not None and not _over(holder, found)


def ousted(place: BucketPlace, holder: Holder | None) -> Ousted:
    """The one message of a driver that lost its study."""
    return Ousted(
        f"{place}: another driver has taken this study over ({holder or 'it does not say who'}), "
        "as this one was not heard of for a minute. What was recorded is kept, and nothing more is "
        f"written from here; watch it with `{command('status', str(place))}`."
    )


def _holder(found: Found) -> Holder | None:
    """Who holds a lease; None if it is free. What is no lease of ours is held by somebody."""
    try:
        facts = json.loads(found.body)
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        facts = {}
    return None if facts.get("free") else Holder.read(facts)


def _over(holder: Holder, found: Found) -> bool:
    return holder.dead or (found.age_s is not None and found.age_s > STALE_S)
