"""The published form in small: ten batches of a few 64x64 pictures, in both kinds of archive."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ictsweep.data import DataConfig, load, open_prepared, prepare, read_manifest
from ictsweep.data.sources import imagenet64
from ictsweep.data.sources.imagenet64 import ImageNet64, has_batches
from ictsweep.errors import UserError

COUNT = 53  # 5 in each batch, 8 in the last
FORMS = ["pickle", "npz"]


def batch(number: int) -> dict:
    random = np.random.default_rng(number)
    count = 5 if number < 10 else 8
    data = random.integers(0, 256, (count, 12288), dtype=np.uint8)
    return {"data": data, "labels": random.integers(1, 1001, count).tolist(), "mean": data.mean(0)}


def encoded(form: str, value: dict, protocol: int = 3) -> bytes:
    if form == "pickle":
        return pickle.dumps(value, protocol=protocol)
    file = io.BytesIO()
    np.savez(file, **{key: np.asarray(item) for key, item in value.items()})
    return file.getvalue()


def archives(folder: Path, form: str, change=lambda number, value: value) -> list[Path]:
    """Both parts, as they are published."""
    ending, suffix = ("_npz", ".npz") if form == "npz" else ("", "")
    paths = []
    for part, numbers in ((1, range(1, 6)), (2, range(6, 11))):
        paths.append(folder / f"Imagenet64_train_part{part}{ending}.zip")
        with zipfile.ZipFile(paths[-1], "w", zipfile.ZIP_DEFLATED) as archive:
            for number in numbers:
                name = f"Imagenet64_train_part{part}{ending}/train_data_batch_{number}{suffix}"
                archive.writestr(name, encoded(form, change(number, batch(number))))
    return paths


def pixels() -> np.ndarray:
    return np.concatenate([batch(n)["data"] for n in range(1, 11)]).reshape(-1, 3, 64, 64)


def labels() -> list[int]:
    return [label - 1 for n in range(1, 11) for label in batch(n)["labels"]]


def run(paths, to: Path, **options):
    list(prepare(ImageNet64(paths, images=COUNT, **options), to))
    return open_prepared(to)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", ["archives", "folder of archives", "unpacked", "flat"])
def test_each_form_gives_the_same_pictures(tmp_path, form, shape):
    (tmp_path / "from").mkdir()
    paths = archives(tmp_path / "from", form)
    if shape != "archives":
        if shape != "folder of archives":
            for path in paths:
                zipfile.ZipFile(path).extractall(tmp_path / "from")
                path.unlink()
        if shape == "flat":
            for inner in list((tmp_path / "from").glob("*/*")):
                inner.rename(tmp_path / "from" / inner.name)
        paths = [tmp_path / "from"]
    images = run(paths, tmp_path / "made")
    assert np.array_equal(images.pixels.numpy(), pixels())
    assert images.labels is not None
    assert images.labels.tolist() == labels()


def test_of_two_forms_the_pickles_are_left_alone(tmp_path):
    archives(tmp_path, "npz")
    for form in ("A", "z"):  # before and behind the other's name
        for number in range(1, 11):
            (tmp_path / form).mkdir(exist_ok=True)
            (tmp_path / form / f"train_data_batch_{number}").write_bytes(b"no pickle")
    assert np.array_equal(run([tmp_path], tmp_path / "made").pixels.numpy(), pixels())


def test_the_manifest_and_the_data_set_by_name(tmp_path):
    run(archives(tmp_path, "npz"), tmp_path / "made")
    manifest = read_manifest(tmp_path / "made")
    assert (manifest.kind, manifest.count, manifest.shape) == ("imagenet64", COUNT, (3, 64, 64))
    assert manifest.resize.startswith("as published: Pillow's box filter to 64x64 pixels")
    assert len(manifest.source["batches"]) == 10
    images = load(DataConfig(name="imagenet64", path=str(tmp_path / "made")))
    assert images.digest == manifest.digest


@pytest.mark.parametrize("form", FORMS)
def test_reading_from_the_middle(tmp_path, form, monkeypatch):
    monkeypatch.setattr(imagenet64, "_CHUNK", 3)
    source = ImageNet64(archives(tmp_path, form), images=COUNT)
    plan = source.plan()
    assert plan.items == COUNT
    for start in (0, 3, 5, 24, 45, 52):
        chunks = list(source.read(plan, start))
        assert max(len(c.pixels) for c in chunks) <= 3
        assert np.array_equal(np.concatenate([c.pixels for c in chunks]), pixels()[start:])
        assert np.concatenate([c.labels for c in chunks]).tolist() == labels()[start:]


def test_the_validation_set(tmp_path):
    with zipfile.ZipFile(tmp_path / "Imagenet64_val.zip", "w") as archive:
        archive.writestr("val_data", encoded("pickle", batch(10)))
    source = ImageNet64([tmp_path / "Imagenet64_val.zip"], train=False, images=8)
    list(prepare(source, tmp_path / "made"))
    assert np.array_equal(open_prepared(tmp_path / "made").pixels.numpy(), pixels()[45:])
    with pytest.raises(UserError, match="of kind 'imagenet64-val', not 'imagenet64'"):
        load(DataConfig(name="imagenet64", path=str(tmp_path / "made")))


def test_the_published_number_of_pictures():
    assert ImageNet64([])._total == 1_281_167
    assert [ImageNet64([])._count(n) for n in (1, 9, 10)] == [128_116, 128_116, 128_123]
    assert ImageNet64([], train=False)._count(0) == 50_000


def test_missing_batches_are_named(tmp_path):
    first, second = archives(tmp_path, "npz")
    with pytest.raises(UserError, match=r"part1_npz\.zip: no train_data_batch_6, .*_10; .* part2"):
        ImageNet64([first]).plan()
    second.unlink()
    with pytest.raises(UserError, match=f"{tmp_path}: no train_data_batch_6, train_data_batch_7"):
        ImageNet64([tmp_path]).plan()
    with pytest.raises(UserError, match="none: no such file or folder"):
        ImageNet64([tmp_path / "none"]).plan()


def test_what_holds_batches(tmp_path):
    assert not has_batches([tmp_path])
    (tmp_path / "cat.png").write_bytes(b"")
    (tmp_path / "pictures.zip").write_bytes(b"no archive of ImageNet's, and not looked into")
    assert not has_batches([tmp_path])
    archives(tmp_path, "npz")
    assert has_batches([tmp_path])


@pytest.mark.parametrize("form", FORMS)
def test_a_truncated_archive(tmp_path, form):
    paths = archives(tmp_path, form)
    os.truncate(paths[1], paths[1].stat().st_size // 2)
    with pytest.raises(UserError, match=rf"{paths[1]}: cannot be read: .*damaged or cut off"):
        run(paths, tmp_path / "made")
    with pytest.raises(UserError, match="cut off"):
        run([tmp_path], tmp_path / "made")


@pytest.mark.parametrize("form", FORMS)
def test_damaged_bytes_of_an_archive(tmp_path, form):
    paths = archives(tmp_path, form)
    content = bytearray(paths[1].read_bytes())
    middle = len(content) // 2
    content[middle : middle + 50] = bytes(50)
    paths[1].write_bytes(content)
    with pytest.raises(
        UserError, match=r"part2.*train_data_batch_\d+.*: cannot be read: .*cut off"
    ):
        run(paths, tmp_path / "made")
    assert not (tmp_path / "made").exists()
    # What was whole is kept: the right archive continues it only if it is the same one.
    archives(tmp_path, form)
    assert np.array_equal(run(paths, tmp_path / "made").pixels.numpy(), pixels())


@pytest.mark.parametrize("behind", [0, 1_000_000])
def test_one_wrong_byte_of_a_stored_pickle_is_caught_by_its_checksum(tmp_path, behind):
    # Also when bytes follow that a pickle's reader does not look at.
    path = tmp_path / "Imagenet64_val.zip"
    value = encoded("pickle", batch(10)) + bytes(behind)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("val_data", value)
    content = path.read_bytes()
    at = content.index(batch(10)["data"][3].tobytes()[:40])
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(UserError, match=r"val_data: cannot be read: Bad CRC-32"):
        list(prepare(ImageNet64([path], train=False, images=8), tmp_path / "made"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, 1, 2, 3, 4]}, r"labels of shape \(5,\); expected 5, from 1 to 1000"),
        ({"labels": [1, 2, 3, 4, 1001]}, "from 1 to 1000"),
        ({"labels": [1, 2, 3]}, r"labels of shape \(3,\); expected 5"),
        ({"labels": [1.5, 1, 1, 1, 1]}, "labels are float64"),
        ({"data": np.zeros((4, 12288), np.uint8)}, r"\(4, 12288\); expected uint8 \(5, 12288\)"),
        ({"data": np.zeros((5, 3072), np.uint8)}, r"\(5, 3072\); expected uint8 \(5, 12288\)"),
        ({"data": np.full((5, 12288), np.nan)}, r"pictures are float64 \(5, 12288\)"),
    ],
)
def test_batches_that_are_not_imagenets(tmp_path, form, change, message):
    paths = archives(tmp_path, form, lambda n, value: value | change if n == 7 else value)
    with pytest.raises(UserError, match=rf"train_data_batch_7.*{message}"):
        run(paths, tmp_path / "made")


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_without_labels(tmp_path, form):
    paths = archives(tmp_path, form, lambda n, value: {"data": value["data"]})
    with pytest.raises(UserError, match=r"no data and labels in it \(found: data\)"):
        run(paths, tmp_path / "made")
