import numpy as np
import pytest

from ictsweep.data import DataConfig, load, open_prepared, prepare, read_manifest
from ictsweep.data.sources import array
from ictsweep.data.sources.array import ArrayFile
from ictsweep.errors import UserError


def pictures(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(9, 8, 12), (9, 8, 12, 3), (9, 3, 8, 12)])
@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_prepared_pictures_are_those_of_the_array(tmp_path, shape, suffix):
    path = tmp_path / f"cells{suffix}"
    if suffix == ".npz":
        np.savez_compressed(path, images=pictures(*shape), labels=np.arange(9, dtype=np.uint8))
    else:
        np.save(path, pictures(*shape))
    list(prepare(ArrayFile(path), tmp_path / "made"))
    direct = load(DataConfig(name="array", path=str(path)))
    made = open_prepared(tmp_path / "made")
    assert (made.digest, made.name, made.shape) == (direct.digest, "cells", direct.shape)
    assert made.pixels.equal(direct.pixels)
    manifest = read_manifest(tmp_path / "made")
    assert (manifest.kind, manifest.resize, manifest.labelled) == (
        "array",
        "none",
        suffix == ".npz",
    )
    assert manifest.source["file"] == path.name
    assert len(manifest.source["sha256"]) == 64


def test_pictures_do_not_depend_on_chunks_or_on_where_reading_starts(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", images=pictures(50, 8, 8, 3), labels=np.arange(50))
    source = ArrayFile(tmp_path / "a.npz")
    plan = source.plan()
    monkeypatch.setattr(array, "_CHUNK", 7 * 192)
    for start in (0, 1, 7, 20, 49):
        chunks = list(source.read(plan, start))
        assert [c.items for c in chunks[:-1]] == [7] * (len(chunks) - 1)
        pixels = np.concatenate([c.pixels for c in chunks])
        assert np.array_equal(pixels, pictures(50, 8, 8, 3)[start:].transpose(0, 3, 1, 2))
        assert np.concatenate([c.labels for c in chunks]).tolist() == list(range(start, 50))


def test_the_content_identifies_the_file(tmp_path):
    np.save(tmp_path / "a.npy", pictures(5, 8, 8))
    np.save(tmp_path / "b.npy", pictures(5, 8, 8))
    np.save(tmp_path / "c.npy", 255 - pictures(5, 8, 8))
    a, b, c = (ArrayFile(tmp_path / f"{name}.npy").plan().fingerprint for name in "abc")
    assert a == b != c


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, -1], "the label of image 2 is -1; labels are counted from 0"),
        ([0, 1 << 40, 1], "the label of image 1 is 1099511627776"),
        ([0.0, 1.0, 2.0], "labels are float64; they must be whole numbers"),
        ([0, 1], r"labels have shape \(2,\) for 3 images"),
        ([True, False, True], "labels are bool"),
    ],
)
def test_labels_that_are_none(tmp_path, labels, message):
    path = tmp_path / "a.npz"
    np.savez(path, images=pictures(3, 8, 8), labels=np.array(labels))
    with pytest.raises(UserError, match=message):
        list(prepare(ArrayFile(path), tmp_path / "made"))
    with pytest.raises(UserError, match=message):
        load(DataConfig(name="array", path=str(path)))


@pytest.mark.parametrize("value", [np.nan, 0.5])
def test_pictures_that_are_no_bytes(tmp_path, value):
    np.save(tmp_path / "a.npy", np.full((3, 8, 8), value))
    with pytest.raises(
        UserError, match=r"a\.npy: images are float64; they must be uint8, 0 to 255"
    ):
        list(prepare(ArrayFile(tmp_path / "a.npy"), tmp_path / "made"))


def test_a_cut_file_is_an_error_and_nothing_is_made(tmp_path):
    np.save(tmp_path / "a.npy", pictures(50, 8, 8))
    content = (tmp_path / "a.npy").read_bytes()
    for length in (0, 5, 100, len(content) - 1):
        (tmp_path / "a.npy").write_bytes(content[:length])
        with pytest.raises(UserError, match=r"a\.npy: cannot be read as numpy arrays"):
            list(prepare(ArrayFile(tmp_path / "a.npy"), tmp_path / "made"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def test_an_empty_array(tmp_path):
    np.save(tmp_path / "a.npy", pictures(0, 8, 8))
    with pytest.raises(UserError, match=r"a\.npy: (no images|cannot be read as numpy arrays)"):
        ArrayFile(tmp_path / "a.npy").plan()
