from pathlib import Path

import numpy as np
import pytest
import torch

from ictsweep import schema
from ictsweep.data import DataConfig, load, location, prepare
from ictsweep.errors import UserError
from tests.data.scripted import Scripted


def pictures(*shape: int, dtype: type = np.uint8):
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


def read(path):
    return load(DataConfig(name="array", path=str(path)))


def test_digits():
    digits = load(DataConfig(name="digits"))
    assert digits.pixels.shape == (1797, 1, 8, 8)
    assert digits.pixels.dtype == torch.uint8
    assert int(digits.pixels.min()) == 0
    assert int(digits.pixels.max()) == 255
    assert len(digits.pixels.unique()) == 17  # 0 .. 16 in the source
    assert digits.labels is not None
    assert digits.labels.dtype == torch.int64
    assert digits.labels.unique().tolist() == list(range(10))
    assert digits.name == "digits"
    assert digits.digest == load(DataConfig(name="digits")).digest


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 8, 12), (5, 1, 8, 12)),
        ((5, 8, 12, 1), (5, 1, 8, 12)),
        ((5, 8, 12, 3), (5, 3, 8, 12)),
        ((5, 1, 8, 12), (5, 1, 8, 12)),
        ((5, 3, 8, 12), (5, 3, 8, 12)),
        ((3, 8, 8, 3), (3, 3, 8, 8)),
    ],
)
def test_layouts(tmp_path, shape, expected):
    np.save(tmp_path / "cells.npy", pictures(*shape))
    images = read(tmp_path / "cells.npy")
    assert images.pixels.shape == expected
    assert images.pixels.is_contiguous()
    assert images.labels is None
    assert images.name == "cells"


def test_channels_last_and_first_are_the_same_pictures(tmp_path):
    x = pictures(4, 8, 12, 3)
    np.save(tmp_path / "last.npy", x)
    np.save(tmp_path / "first.npy", x.transpose(0, 3, 1, 2))
    last, first = read(tmp_path / "last.npy"), read(tmp_path / "first.npy")
    assert torch.equal(last.pixels, first.pixels)
    assert last.digest == first.digest
    assert last.pixels[1, 2, 3, 4] == x[1, 3, 4, 2]


def test_labels(tmp_path):
    labels = np.array([3, 1, 2, 3], dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=pictures(4, 8, 8), labels=labels, more=np.zeros(2))
    images = read(tmp_path / "a.npz")
    assert images.labels is not None
    assert images.labels.tolist() == [3, 1, 2, 3]
    assert images.labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": pictures(4, 8, 8)}, r"needs an array called 'images' \(found: pictures\)"),
        ({}, r"needs an array called 'images' \(found: nothing\)"),
        ({"images": pictures(4, 8, 8, dtype=np.float32)}, "images are float32; they must be uint8"),
        ({"images": pictures(4, 64)}, r"images have shape \(4, 64\); they must be \[n, h, w\]"),
        ({"images": pictures(4, 1, 8, 8, 3)}, r"images have shape \(4, 1, 8, 8, 3\)"),
        ({"images": pictures(0, 8, 8)}, "no images"),
        ({"images": pictures(4, 8, 8, 4)}, r"\(4, 8, 8, 4\); 1 or 3 channels are needed"),
        ({"images": pictures(4, 7, 8)}, "images are 7x8; at least 8x8"),
        (
            {"images": pictures(4, 8, 8), "labels": np.zeros(3, int)},
            r"labels have shape \(3,\) for 4 images; expected \(4,\)",
        ),
        (
            {"images": pictures(4, 8, 8), "labels": np.zeros((4, 10), int)},
            r"labels have shape \(4, 10\) for 4 images",
        ),
        ({"images": pictures(4, 8, 8), "labels": np.zeros(4)}, "labels are float64"),
        ({"images": np.array([{}, {}], dtype=object)}, "cannot be read as numpy arrays: .*pickle"),
    ],
)
def test_what_is_wrong_with_an_array_is_said(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path / "a.npz")
    assert str(error.value).startswith(str(tmp_path / "a.npz"))


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"none\.npz: no such file \(looked in "):
        read(tmp_path / "none.npz")


def test_other_suffix(tmp_path):
    with pytest.raises(UserError, match=r"a\.png: not a \.npz or \.npy file"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_damaged_files(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    for content in (b"", b"not an array"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as numpy arrays"):
            read(path)
    np.savez_compressed(tmp_path / "whole.npz", images=pictures(40, 16, 16))
    path.write_bytes((tmp_path / "whole.npz").read_bytes()[:-300])
    with pytest.raises(UserError, match="cannot be read as numpy arrays"):
        read(path)


def test_a_damaged_compressed_array(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, images=np.zeros((500, 16, 16), np.uint8))
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as numpy arrays"):
        read(path)


def test_a_folder_is_not_a_file(tmp_path):
    (tmp_path / "a.npz").mkdir()
    with pytest.raises(UserError, match="cannot be read as numpy arrays"):
        read(tmp_path / "a.npz")


def test_which_data_take_a_path():
    with pytest.raises(ValueError, match=r"'array' needs a path: the \.npz or \.npy file"):
        DataConfig(name="array")
    with pytest.raises(ValueError, match="'prepared' needs a path: the folder that `ictsweep prep"):
        DataConfig(name="prepared")
    with pytest.raises(ValueError, match=r"'digits' takes no path \(got 'a\.npz'\)"):
        DataConfig(name="digits", path="a.npz")


def test_locations():
    assert location(DataConfig(name="digits")) is None
    assert location(DataConfig(name="array", path="a.npz")) == Path("a.npz")
    assert location(DataConfig(name="prepared", path="faces")) == Path("faces")
    assert location(DataConfig(name="cifar10")) == Path(".ictsweep/data/cifar10")
    assert location(DataConfig(name="imagenet64")) == Path(".ictsweep/data/imagenet64")
    assert location(DataConfig(name="imagenet64", path="/data/in")) == Path("/data/in")


def test_data_that_are_not_prepared_name_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = (
        r"\.ictsweep/data/cifar10: CIFAR-10 is not prepared here; "
        r"run `ictsweep prepare cifar10`, or set data\.path to where it was prepared"
    )
    with pytest.raises(UserError, match=f"^{message}$"):
        load(DataConfig(name="cifar10"))
    message = r"in: ImageNet-64 is not .* `ictsweep prepare imagenet64 --from ARCHIVES --to in`"
    with pytest.raises(UserError, match=message):
        load(DataConfig(name="imagenet64", path="in"))
    message = "faces: pictures are not prepared here; run `ictsweep prepare folder PICTURES"
    with pytest.raises(UserError, match=message):
        load(DataConfig(name="prepared", path="faces"))


def test_the_users_own_files_are_not_named_as_the_target(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pics").mkdir()
    message = "run `ictsweep prepare folder PICTURES --to pics`, or correct data.path"
    with pytest.raises(UserError, match=message):
        load(DataConfig(name="prepared", path="pics"))
    (Path("pics") / "a.png").touch()
    message = "run `ictsweep prepare folder pics --to pics-prepared` and name pics-prepared instead"
    with pytest.raises(UserError, match=message):
        load(DataConfig(name="prepared", path="pics"))
    with pytest.raises(
        UserError, match="run `ictsweep prepare cifar10 --to pics-prepared`, or set"
    ):
        load(DataConfig(name="cifar10", path="pics"))


def test_a_half_written_folder_is_not_found(tmp_path):
    steps = prepare(Scripted(), tmp_path / "made")
    for _ in range(30):
        next(steps)
    steps.close()
    for folder in ("made", ".made.partial"):
        with pytest.raises(UserError, match="pictures are not prepared here"):
            load(DataConfig(name="prepared", path=str(tmp_path / folder)))


def test_prepared_data(tmp_path):
    list(prepare(Scripted(), tmp_path / "made"))
    images = load(DataConfig(name="prepared", path=str(tmp_path / "made")))
    assert torch.equal(images.pixels, torch.from_numpy(Scripted().pixels()))
    with pytest.raises(UserError, match=r"made: holds prepared pictures of kind 'scripted', not "):
        load(DataConfig(name="cifar10", path=str(tmp_path / "made")))


def test_the_probability_of_augmentation():
    assert DataConfig(name="digits").augment == 0
    config, problems = schema.read(DataConfig, {"name": "digits", "augment": 0.12})
    assert not problems
    assert config == DataConfig(name="digits", augment=0.12)
    for wrong in (-0.1, 1.1, "much"):
        _, problems = schema.read(DataConfig, {"name": "digits", "augment": wrong})
        assert [problem.path for problem in problems] == [("augment",)]
