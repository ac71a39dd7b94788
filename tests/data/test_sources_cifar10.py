"""A small data set in the exact form of CIFAR-10's files; torchvision's constants are set to it."""

import hashlib
import pickle
import shutil
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from ictsweep.data import DataConfig, load, open_prepared, prepare, read_manifest
from ictsweep.data.sources import cifar10
from ictsweep.data.sources.cifar10 import Cifar10
from ictsweep.errors import UserError

BATCHES, ARCHIVE = "cifar-10-batches-py", "cifar-10-python.tar.gz"
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
EACH = 4  # pictures of a batch


def md5(path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Folder with the batches and the archive."""
    folder = tmp_path_factory.mktemp("cifar")
    (folder / BATCHES).mkdir()
    random = np.random.default_rng(1)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        data = random.integers(0, 256, (EACH, 3072), dtype=np.uint8)
        batch = {"data": data, "labels": random.integers(0, 10, EACH).tolist()}
        (folder / BATCHES / name).write_bytes(pickle.dumps(batch, protocol=2))
    (folder / BATCHES / "batches.meta").write_bytes(pickle.dumps({"label_names": CLASSES}))
    with tarfile.open(folder / ARCHIVE, "w:gz") as archive:
        archive.add(folder / BATCHES, BATCHES)
    return folder


@pytest.fixture(autouse=True)
def constants(files, monkeypatch):
    train, test = ([f"data_batch_{i}" for i in range(1, 6)], ["test_batch"])
    monkeypatch.setattr(CIFAR10, "train_list", [[n, md5(files / BATCHES / n)] for n in train])
    monkeypatch.setattr(CIFAR10, "test_list", [[n, md5(files / BATCHES / n)] for n in test])
    monkeypatch.setattr(
        CIFAR10, "meta", CIFAR10.meta | {"md5": md5(files / BATCHES / "batches.meta")}
    )
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(files / ARCHIVE))
    monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:9/{ARCHIVE}")  # nobody answers there
    monkeypatch.setattr(cifar10, "_EACH", EACH)
    monkeypatch.setattr(cifar10, "_CHUNK", 3)


@pytest.fixture
def server(files, monkeypatch):
    """A web server that has the archive."""
    handler = partial(Quiet, directory=str(files))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{running.server_port}/{ARCHIVE}")
        yield running
        running.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


def expected(files, names):
    batches = [pickle.loads((files / BATCHES / name).read_bytes()) for name in names]
    pixels = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    return pixels, [label for batch in batches for label in batch["labels"]]


def made(tmp_path, source):
    list(prepare(source, tmp_path / "made"))
    return open_prepared(tmp_path / "made")


@pytest.mark.parametrize("copy", [".", BATCHES, ARCHIVE])
@pytest.mark.parametrize("train", [True, False])
def test_a_local_copy(tmp_path, files, copy, train):
    images = made(tmp_path, Cifar10(files / copy, train, tmp_path / "downloads"))
    names = [f"data_batch_{i}" for i in range(1, 6)] if train else ["test_batch"]
    pixels, labels = expected(files, names)
    assert np.array_equal(images.pixels.numpy(), pixels)
    assert images.labels is not None
    assert images.labels.tolist() == labels
    manifest = read_manifest(tmp_path / "made")
    assert manifest.classes == tuple(CLASSES)
    assert manifest.kind == ("cifar10" if train else "cifar10-test")
    assert set(manifest.source["md5"]) == set(names)


def test_whatever_the_copy_the_data_are_the_same(tmp_path, files):
    made(tmp_path, Cifar10(files / BATCHES, True, tmp_path / "downloads"))
    shutil.copy(files / ARCHIVE, tmp_path)
    again = list(prepare(Cifar10(tmp_path, True, tmp_path / "downloads"), tmp_path / "made"))
    assert {p.unit for p in again} == {"images checked"}


def test_a_users_folder_is_left_as_it_is(tmp_path, files):
    (tmp_path / "mine").mkdir()
    shutil.copy(files / ARCHIVE, tmp_path / "mine")
    made(tmp_path, Cifar10(tmp_path / "mine", True, tmp_path / "downloads"))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [ARCHIVE]


def test_reading_from_the_middle(files):
    source = Cifar10(files)
    for start in (0, 4, 11, 19):
        chunks = list(source.read(source.plan(), start))
        pixels, labels = expected(files, [f"data_batch_{i}" for i in range(1, 6)])
        assert np.array_equal(np.concatenate([c.pixels for c in chunks]), pixels[start:])
        assert np.concatenate([c.labels for c in chunks]).tolist() == labels[start:]


def test_a_download(tmp_path, files, server):
    images = made(tmp_path, Cifar10(None, True, tmp_path / "downloads"))
    assert np.array_equal(images.pixels[:4].numpy(), expected(files, ["data_batch_1"])[0])
    server.shutdown()
    server.server_close()
    # Found again without a network: made data, and for the test split the download itself.
    made(tmp_path, Cifar10(None, True, tmp_path / "downloads"))
    list(prepare(Cifar10(None, False, tmp_path / "downloads"), tmp_path / "test"))
    assert len(open_prepared(tmp_path / "test")) == EACH


def test_no_network(tmp_path):
    message = rf"http://127\.0\.0\.1:9/{ARCHIVE}: cannot be downloaded: .*; without a network, put "
    with pytest.raises(UserError, match=message + rf"{ARCHIVE} into a folder and name it \(--from"):
        made(tmp_path, Cifar10(None, True, tmp_path / "downloads"))
    assert [path.name for path in tmp_path.iterdir()] == ["downloads"]


def test_a_damaged_download(tmp_path, files, server, monkeypatch):
    monkeypatch.setattr(CIFAR10, "tgz_md5", "0" * 32)
    with pytest.raises(UserError, match="cannot be downloaded: File not found or corrupted"):
        made(tmp_path, Cifar10(None, True, tmp_path / "downloads"))


def test_a_damaged_archive(tmp_path, files):
    whole = (files / ARCHIVE).read_bytes()
    (tmp_path / ARCHIVE).write_bytes(whole[:-100])
    message = rf"{ARCHIVE}: its MD5 sum is \w{{32}}, CIFAR-10's is \w{{32}}: the file is damaged"
    for path in (tmp_path, tmp_path / ARCHIVE):
        with pytest.raises(UserError, match=message):
            made(tmp_path, Cifar10(path, True, tmp_path / "downloads"))
    assert [path.name for path in tmp_path.iterdir()] == [ARCHIVE]


def test_damaged_and_missing_batches(tmp_path, files):
    shutil.copytree(files / BATCHES, tmp_path / BATCHES)
    (tmp_path / BATCHES / "data_batch_3").write_bytes(b"cut off")
    with pytest.raises(UserError, match=r"data_batch_3: its MD5 sum is"):
        made(tmp_path, Cifar10(tmp_path))
    (tmp_path / BATCHES / "data_batch_3").unlink()
    with pytest.raises(UserError, match=r"data_batch_3: cannot be read: No such file"):
        made(tmp_path, Cifar10(tmp_path))


def test_a_copy_that_is_none(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError, match=f"{path}: no copy of CIFAR-10; expected {ARCHIVE} or "):
            Cifar10(path).plan()


def test_the_test_pictures_are_not_taken_for_the_training_ones(tmp_path, files):
    made(tmp_path, Cifar10(files, train=False))
    with pytest.raises(UserError, match="of kind 'cifar10-test', not 'cifar10'"):
        load(DataConfig(name="cifar10", path=str(tmp_path / "made")))
