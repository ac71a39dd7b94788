import io
import os
import pickle

import numpy as np
import pytest

from ictsweep.data.sources.batches import read_batch

BATCH = {
    "data": np.random.default_rng(0).integers(0, 256, (3, 12), dtype=np.uint8),
    "labels": [1, 2, 1000],
    "mean": np.linspace(0, 1, 12),
}


def read(content: bytes) -> dict:
    return read_batch(io.BytesIO(content))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("layout", ["C", "F"])
def test_what_numpy_pickles(protocol, layout):
    value = BATCH | {"data": np.asarray(BATCH["data"], order=layout)}
    found = read(pickle.dumps(value, protocol=protocol))
    assert set(found) == set(BATCH)
    assert np.array_equal(found["data"], BATCH["data"])
    assert found["data"].dtype == np.uint8
    assert np.array_equal(found["mean"], BATCH["mean"])
    assert found["labels"] == BATCH["labels"]


def test_older_names_of_numpy():
    content = pickle.dumps(BATCH, protocol=2)
    assert b"numpy._core.multiarray" in content
    found = read(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert np.array_equal(found["data"], BATCH["data"])


def test_pickles_of_python_2():
    # Texts are bytes there: {'labels': [1], 'data': array} with protocol 2's SHORT_BINSTRING.
    array = pickle.dumps(BATCH["data"], protocol=2)[2:-1]
    texts = b"\x80\x02}(U\x06labels](K\x01eU\x04data" + array + b"u."
    found = read(texts)
    assert found["labels"] == [1]
    assert np.array_equal(found["data"], BATCH["data"])


class Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_of_the_file_is_run(tmp_path, protocol):
    content = pickle.dumps({"data": Runs(tmp_path / "made")}, protocol=protocol)
    with pytest.raises(ValueError, match=r"not a pickled batch: it names '(posix|nt)\.mkdir'"):
        read(content)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'/etc/passwd'\ntR.",
        b"cnumpy\nndarray\n(K\x01tR.",  # an array is no dictionary
        b"\x80\x02]q\x00h\x00a.",  # a list in itself
        b"(" * 1000 + b".",
        pickle.dumps([1, 2]),
        pickle.dumps(BATCH)[:-20],
        pickle.dumps({"data": np.array([{}], dtype=object)}),
        pickle.dumps({"data": np.array(["text"])}),
        pickle.dumps({"data": np.arange(3).astype(">i4")}),
        pickle.dumps({"data": np.zeros(2, [("a", "u1")])}),
    ],
)
def test_what_is_no_batch(content):
    with pytest.raises(ValueError, match="not a pickled batch"):
        read(content)


def test_a_shape_that_does_not_fit_the_bytes():
    content = pickle.dumps(np.zeros((3, 12), np.uint8), protocol=2)
    assert content.count(b"K\x03K\x0c") == 1
    with pytest.raises(ValueError, match=r"an array of shape \(3, 13\) has 36 bytes"):
        read(b"\x80\x02}U\x04data" + content.replace(b"K\x03K\x0c", b"K\x03K\x0d")[2:-1] + b"s.")
