"""`ictsweep prepare`: what a person types and reads; the sources have tests of their own."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from ictsweep.data import DataConfig, load
from ictsweep.data.manifest import read_manifest
from ictsweep.errors import UserError


def pictures(folder: Path, count: int = 6, mode: str = "RGB", side: int = 16) -> np.ndarray:
    """PNGs of noise in two classes; their pixels."""
    rng = np.random.default_rng(0)
    shape = (count, side, side) if mode == "L" else (count, side, side, 3)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    for i, array in enumerate(pixels):
        path = folder / ("cat" if i < count // 2 else "dog") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)
    return pixels


def test_a_folder_is_prepared_found_again_and_used(call, tmp_path: Path) -> None:
    pixels = pictures(tmp_path / "pets")
    code, out, err = call("prepare", "folder", "pets")
    assert code == 0
    assert ".ictsweep/data/pets: 6 images of 3x16x16, 2 classes, digest " in out
    assert "  data: {name: prepared, path: .ictsweep/data/pets}" in out
    assert "prepare pets: 6 of 6 images" in err
    images = load(DataConfig(name="prepared", path=".ictsweep/data/pets"))
    assert np.array_equal(images.pixels.numpy(), pixels.transpose(0, 3, 1, 2))
    assert images.labels is not None
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1]
    stamp = Path(".ictsweep/data/pets/images.npy").stat().st_mtime_ns
    ready = ".ictsweep/data/pets: was ready; its pictures are verified and unchanged\n"
    assert call("prepare", "folder", "pets")[:2] == (0, ready + out)
    assert Path(".ictsweep/data/pets/images.npy").stat().st_mtime_ns == stamp


def test_resizing_and_conversions_are_stated(call, tmp_path: Path) -> None:
    pictures(tmp_path / "pets", mode="L", side=40)
    Image.new("RGBA", (50, 40)).save(tmp_path / "pets" / "cat" / "odd.png")
    code, out, _ = call("prepare", "folder", "pets", "--resize", "16", "--rgb", "--to", "small")
    assert code == 0
    assert "small: 7 images of 3x16x16" in out
    assert "bicubic" in out
    assert "converted: " in out
    assert "6 L" in out
    assert "1 RGBA (transparency dropped)" in out
    assert read_manifest(Path("small")).resize in out


def test_bad_pictures_are_an_error_or_a_listed_skip(call, tmp_path: Path) -> None:
    pictures(tmp_path / "pets")
    bad = tmp_path / "pets" / "dog" / "4.png"
    bad.write_bytes(bad.read_bytes()[:60])
    code, out, err = call("prepare", "folder", "pets")
    assert (code, out) == (2, "")
    assert "4.png" in err
    assert "--skip-bad" in err
    assert "Traceback" not in err
    assert not Path(".ictsweep/data/pets").exists()
    code, out, _ = call("prepare", "folder", "pets", "--skip-bad")
    assert code == 0
    assert "5 images" in out
    assert "skipped: 1 (all in manifest.json)" in out
    assert "4.png: " in out


def test_what_was_not_read_is_counted(call, tmp_path: Path) -> None:
    pictures(tmp_path / "pets")
    (tmp_path / "pets" / "cat" / "a.avif").write_bytes(b"x")
    _, out, _ = call("prepare", "folder", "pets", "--to", "one")
    assert "  not read: 1 other file (" in out
    for name in ("a.avif", "b.heic", "notes.txt"):
        (tmp_path / "pets" / "cat" / name).write_bytes(b"x")
    _, out, _ = call("prepare", "folder", "pets")
    assert "  not read: 3 other files" in out


@pytest.mark.parametrize("name", ["my, pets", "1", "a: b", "true", "a #b", "b\u00fccher"])
def test_the_printed_line_is_yaml_for_any_path(call, tmp_path: Path, name: str) -> None:
    pictures(tmp_path / "pets")
    _, out, _ = call("prepare", "folder", "pets", "--to", name)
    line = yaml.safe_load(out.splitlines()[-1])
    assert line == {"data": {"name": "prepared", "path": name}}


def test_the_command_that_an_error_names_does_it(call, tmp_path: Path) -> None:
    pictures(tmp_path / "PICTURES")
    config = DataConfig(name="prepared", path="pets")
    with pytest.raises(UserError) as caught:
        load(config)
    _, *words = str(caught.value).split("`")[1].split()
    assert call(*words)[0] == 0
    assert len(load(config)) == 6


def test_an_array(call, tmp_path: Path) -> None:
    images = np.zeros((9, 8, 8), np.uint8)
    np.savez(tmp_path / "mine.npz", images=images, labels=[2, 4, 9] * 3)
    code, out, _ = call("prepare", "array", "mine.npz")
    assert code == 0
    assert ".ictsweep/data/mine: 9 images of 1x8x8, labels 2 to 9, 3 classes, digest " in out
    np.savez(tmp_path / "one.npz", images=images, labels=[0] * 9)
    assert "labels 0 to 0, 1 class, digest " in call("prepare", "array", "one.npz")[1]
    np.save(tmp_path / "none.npy", images)
    assert "1x8x8, no labels, digest " in call("prepare", "array", "none.npy")[1]


def classes(path: Path, count: int, **odd: tuple[int, int]) -> None:
    """A zip of one picture in each of `count` class folders; `odd` ones have another size."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in (f"n{i:03}" for i in range(count)):
            data = io.BytesIO()
            Image.new("RGB", odd.get(name, (80, 64))).save(data, format="PNG")
            archive.writestr(f"{name}/a.png", data.getvalue())


def test_imagenet_from_full_size_pictures(call, tmp_path: Path) -> None:
    """A zip of them; at the default place it is `imagenet64` by name."""
    classes(tmp_path / "train.zip", 1000, n500=(150, 130))
    code, out, _ = call("prepare", "imagenet64", "--from", "train.zip")
    assert code == 0
    assert ".ictsweep/data/imagenet64: 1,000 images of 3x64x64, 1,000 classes" in out
    assert out.endswith("data: {name: imagenet64}\n")
    assert load(DataConfig(name="imagenet64")).shape == (3, 64, 64)
    code, out, _ = call("prepare", "imagenet64", "--from", "train.zip", "--test")
    assert read_manifest(Path(".ictsweep/data/imagenet64-val")).kind == "imagenet64-val"


@pytest.mark.parametrize("count", [0, 1, 10, 999, 1001])
def test_another_set_is_not_imagenet(call, tmp_path: Path, count: int) -> None:
    classes(tmp_path / "train.zip", count)
    code, out, err = call("prepare", "imagenet64", "--from", "train.zip")
    assert (code, out) == (2, "")
    found = 0 if count == 1 else count  # one folder is no class
    assert f"train.zip: not ImageNet: {found:,} classes of pictures; expected 1,000" in err
    assert "Imagenet64_train_part1.zip and Imagenet64_train_part2.zip (or their _npz.zip)" in err
    assert "`ictsweep prepare folder train.zip --resize 64`" in err
    assert "Imagenet64_val.zip" in call("prepare", "imagenet64", "--test", "--from", "train.zip")[2]
    assert [path.name for path in tmp_path.iterdir()] == ["train.zip"]


def test_what_is_no_archive_names_the_published_ones(call, tmp_path: Path) -> None:
    (tmp_path / "train.7z").write_bytes(b"7z")
    code, _, err = call("prepare", "imagenet64", "--from", "train.7z")
    assert code == 2
    assert "train.7z: not a folder, .zip, .tar or .tar.gz" in err
    assert "Imagenet64_train_part1.zip and Imagenet64_train_part2.zip (or their _npz.zip)" in err


def test_imagenets_small_pictures_are_counted(call, tmp_path: Path) -> None:
    classes(tmp_path / "train.zip", 1000, n007=(200, 63), n008=(32, 32))
    code, out, _ = call("prepare", "imagenet64", "--from", "train.zip")
    assert code == 0
    assert "1,000 images of 3x64x64, 1,000 classes" in out
    assert "converted: 2 enlarged" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("folder", "nothing"), "nothing: no such file or folder"),
        (("cifar10", "--from", "nothing"), "no copy of CIFAR-10"),
        (("array", "nothing.npz"), "nothing.npz"),
        (("inception", "--from", "nothing"), "nothing"),
        (("inception", "--mode", "cleaned"), "--mode: got cleaned; expected clean, legacy_tens"),
    ],
)
def test_wrong_input_is_one_message(call, words: tuple[str, ...], says: str) -> None:
    code, out, err = call("prepare", *words)
    assert (code, out) == (2, "")
    assert says in err
    assert err.startswith("ictsweep: ")
    assert err.count("\n") == 1


def test_weights_that_are_not_the_published_ones_are_refused(call, tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(b"<html>not found</html>")
    code, _, err = call("prepare", "inception", "--from", "weights.pt")
    assert code == 2
    assert "SHA-256" in err
    assert not list(Path(".ictsweep").rglob("*.pt"))


def test_a_target_that_holds_something_else_is_left_alone(call, tmp_path: Path) -> None:
    pictures(tmp_path / "pets")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    code, _, err = call("prepare", "folder", "pets", "--to", "mine")
    assert code == 2
    assert "mine" in err
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
