"""What the server is asked and what it answers: conditions, listings, large files, refusals."""

import errno
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ictsweep.errors import PlaceError, StorageError, StorageFull, UserError
from ictsweep.patience import Patience
from ictsweep.storage.bucket import Bucket
from ictsweep.storage.place import BucketPlace, bucket_place, within
from tests.storage.mounts import small_disk
from tests.storage.server import Server, once, reads, writes


def anything(method: str, path: str) -> bool:
    return method != "HEAD"  # by which boto3 asks for a bucket's region


def test_an_object_is_created_once_and_replaced_only_as_it_was_read(bucket: Bucket) -> None:
    assert bucket.get("a") is None
    first = bucket.put_new("a", b"1", {"writer": "x"})
    assert first is not None
    assert bucket.put_new("a", b"2") is None
    found = bucket.get("a")
    assert found is not None
    assert (found.body, found.etag, found.metadata) == (b"1", first, {"writer": "x"})
    second = bucket.put_over("a", b"3", first)
    assert second not in (None, first)
    assert bucket.put_over("a", b"4", first) is None
    assert bucket.put_over("none", b"4", first) is None
    again = bucket.get("a")
    assert again is not None
    assert again.body == b"3"


def test_of_many_that_create_an_object_at_once_one_does(bucket: Bucket) -> None:
    barrier, made = threading.Barrier(8), []

    def create() -> None:
        barrier.wait()
        made.append(bucket.put_new("a", threading.current_thread().name.encode()))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([etag for etag in made if etag is not None]) == 1


def test_a_listing_is_complete_in_order_and_begins_where_it_is_told(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    names = [f"log/{n:03d}" for n in range(10)]
    for name in [*names, "logs", "other/log/1"]:
        bucket.put(name, b"12345")
    assert [stat.name for stat in bucket.listed("log/")] == names
    assert [stat.name for stat in bucket.listed("log/", "log/006")] == names[7:]
    assert {stat.size for stat in bucket.listed("log/")} == {5}
    assert bucket.listed("nothing") == []
    assert bucket.folders() == ["log", "other"]
    bucket.delete(names)
    bucket.delete(["log/000"])  # it is gone: no error
    assert [stat.name for stat in bucket.listed("")] == ["logs", "other/log/1"]


@pytest.mark.parametrize("name", ["a b", "é/ü", "a+b%20", "q?x=1#y", "'$(x)", "☃"])
def test_names_are_taken_as_they_are(bucket: Bucket, name: str) -> None:
    odd = bucket.at(name)
    odd.put("x", b"1")
    assert [stat.name for stat in odd.listed("")] == ["x"]
    assert [stat.name for stat in bucket.listed("")] == [f"{name}/x"]
    odd.delete(["x"])
    assert odd.get("x") is None


def test_the_age_of_an_object_is_the_servers(s3: Server, bucket: Bucket) -> None:
    bucket.put("a", b"")
    s3.ahead += s3.ahead.__class__(seconds=100)
    found = bucket.get("a")
    assert found is not None
    assert found.age_s == pytest.approx(100, abs=2)


def test_a_large_file_goes_and_comes_whole(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ictsweep.storage.bucket._PART", 5 << 20)
    content = bytes(range(256)) * (11 << 12)  # 11 MiB: three parts
    (tmp_path / "big").write_bytes(content)
    etag = bucket.upload("big", tmp_path / "big")
    assert etag.strip('"').endswith("-3")
    assert bucket.download("big", etag, tmp_path / "new" / "back")
    assert (tmp_path / "new" / "back").read_bytes() == content
    assert bucket.download("big", '"other"', tmp_path / "no") is False
    assert bucket.download("none", etag, tmp_path / "no") is False
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["big", "back"]


def test_a_download_that_breaks_is_taken_up_where_it_broke(
    s3: Server, bucket: Bucket, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 40_000
    etag = bucket.put("big", content)
    with s3.breaking(once(reads("big"), 3)):
        assert bucket.download("big", etag, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert s3.seen.count(("GET", f"/{bucket.place.bucket}/{bucket.place.key('big')}")) == 4


def test_a_download_to_a_full_disk(bucket: Bucket, tmp_path: Path) -> None:
    etag = bucket.put("big", bytes(100_000))
    with small_disk(tmp_path / "disk", "64k") as disk:
        with pytest.raises(StorageFull, match=r"disk/back: No space left"):
            bucket.download("big", etag, disk / "back")
        assert list(disk.iterdir()) == []


def test_what_passes_is_waited_for(s3: Server, bucket: Bucket) -> None:
    with s3.refusing(once(writes("/a"), 3), 503, "SlowDown"):
        assert bucket.put("a", b"1")
    with s3.refusing(once(reads("/a"), 2), 500, "InternalError"):
        assert bucket.get("a")
    with s3.refusing(once(writes("/b"), 2), 409, "ConditionalRequestConflict"):
        assert bucket.put_new("b", b"1")
    with s3.losing(once(writes("/c"))):
        assert bucket.put("c", b"123456")
    with s3.breaking(once(reads("/c"), 2)):
        found = bucket.get("c")
    assert found is not None
    assert found.body == b"123456"


def test_a_server_that_refuses_connections(s3: Server, bucket: Bucket) -> None:
    bucket.put("a", b"1")
    with s3.away(), pytest.raises(StorageError, match=r"Could not connect.*stayed away") as refused:
        bucket.get("a")
    assert not isinstance(refused.value, UserError)
    waiting = Bucket(bucket.place, Patience(total_s=20, first_s=0.1))
    s3.stop()
    threading.Timer(0.5, s3.start).start()
    assert waiting.get("a")


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (404, "NoSuchBucket", PlaceError, "Make the bucket"),
        (403, "AccessDenied", PlaceError, "GetObject, PutObject and DeleteObject"),
        (403, "InvalidAccessKeyId", PlaceError, "do not suffice"),
        (403, "SignatureDoesNotMatch", PlaceError, "do not suffice"),
        (400, "ExpiredToken", PlaceError, "have expired"),
        (403, "RequestTimeTooSkewed", PlaceError, "clock"),
        (301, "PermanentRedirect", PlaceError, "AWS_REGION"),
        (507, "XMinioStorageFull", StorageFull, "no room"),
        (403, "QuotaExceeded", StorageFull, "no room"),
        (501, "NotImplemented", PlaceError, "AWS_ENDPOINT_URL"),
        (503, "SlowDown", StorageError, "stayed away"),
    ],
)
def test_every_refusal_says_what_to_do(
    s3: Server, bucket: Bucket, status: int, code: str, kind: type[Exception], words: str
) -> None:
    with s3.refusing(anything, status, code), pytest.raises(kind, match=words) as refused:
        bucket.put("a", b"1")
    said = str(refused.value)
    assert said.startswith(f"{bucket.place}: {code} (as the test wants)")
    assert "\n" not in said
    with s3.refusing(anything, status, code), pytest.raises(kind, match=words):
        bucket.listed("")


def test_a_bucket_that_is_not_there(s3: Server) -> None:
    bucket = Bucket(BucketPlace("nobodys", "x"), Patience(total_s=0))
    for ask in (lambda: bucket.get("a"), lambda: bucket.listed(""), lambda: bucket.put("a", b"")):
        with pytest.raises(PlaceError, match=r"NoSuchBucket.*Make the bucket nobodys"):
            ask()
    with pytest.raises(PlaceError, match="Make the bucket"):
        Bucket(BucketPlace("No Such Name!", "x"), Patience(total_s=0)).get("a")


def test_no_credentials(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(PlaceError, match=r"Unable to locate credentials.*aws configure"):
        bucket.get("a")


def test_an_endpoint_that_is_none(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "not a url")
    with pytest.raises(UserError, match="AWS_ENDPOINT_URL"):
        bucket.get("a")


def test_it_travels_to_another_process(bucket: Bucket) -> None:
    bucket.put("a", b"1")  # it is connected: the connection stays here
    found = pickle.loads(pickle.dumps(bucket)).get("a")
    assert found.body == b"1"


def test_without_boto3_one_message_says_what_to_install() -> None:
    code = (
        "import sys\n"
        "sys.modules['boto3'] = None\n"
        "from ictsweep.cli import main\n"
        "sys.argv = ['ictsweep', 'status', 's3://bucket/study']\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'ictsweep[s3]'" in done.stderr


def test_urls_and_paths_are_told_apart(tmp_path: Path) -> None:
    assert bucket_place("s3://b/x/y/") == BucketPlace("b", "x/y")
    assert bucket_place(Path("s3://b/x")) == BucketPlace("b", "x")  # it folds two slashes to one
    assert bucket_place("S3://b") == BucketPlace("b", "")
    for path in ("x/y", "/x", "~/s3", "c:thing", tmp_path):
        assert bucket_place(path) is None
    with pytest.raises(UserError, match="names no bucket"):
        bucket_place("s3://")
    with pytest.raises(UserError, match="AWS_ENDPOINT_URL"):
        bucket_place("gs://b/x")
    assert within("s3://b/x/", "n m") == "s3://b/x/n m"
    assert within("studies", "n") == "studies/n"
    assert BucketPlace("b", "x/y").parent / "z" == BucketPlace("b", "x/z")


def test_studies_of_one_storage_have_their_copies_side_by_side(tmp_path: Path) -> None:
    one, two = (bucket_place(f"s3://b/x/{name}") for name in ("one", "two"))
    other = bucket_place("s3://c/x/one")
    assert one is not None
    assert two is not None
    assert other is not None
    assert one.mirror(tmp_path).parent == two.mirror(tmp_path).parent
    assert one.mirror(tmp_path).name == "one"
    assert one.mirror(tmp_path) != other.mirror(tmp_path)


def test_a_local_error_is_not_taken_for_the_servers(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        bucket.upload("a", tmp_path / "none")
    assert missing.value.errno == errno.ENOENT
