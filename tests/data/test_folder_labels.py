"""Which label a picture gets from its folder or from dataset.json, and what is refused."""

import json
from pathlib import Path

import pytest

from ictsweep.data.sources.folder import Folder
from ictsweep.errors import UserError
from tests.data.pictures import encoded, pixels, prepared, table, write

PICTURE = encoded(pixels(0))


def labels(tmp_path: Path, files: dict[str, bytes]) -> list[int] | None:
    _, images = prepared(Folder(write(tmp_path / "set", files)), tmp_path / "to")
    return None if images.labels is None else images.labels.tolist()


def pictures(*names: str) -> dict[str, bytes]:
    return {name: encoded(pixels(seed)) for seed, name in enumerate(names)}


def test_first_level_folders_are_numbered_as_torchvision_does(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    names = ["10/a.png", "9/b.png", "Zebra/c.png", "ant/deep/d.png", "ant/e.png"]
    files = pictures(*names)
    folder = write(tmp_path / "set", files)
    manifest, images = prepared(Folder(folder), tmp_path / "to")
    theirs = ImageFolder(str(folder))
    assert manifest.classes == tuple(theirs.classes) == ("10", "9", "Zebra", "ant")
    assert images.labels is not None
    ours = {images.pixels[n].numpy().tobytes(): int(images.labels[n]) for n in range(len(images))}
    for path, label in theirs.samples:
        seed = names.index(str(Path(path).relative_to(folder)))
        assert ours[pixels(seed).transpose(2, 0, 1).tobytes()] == label


def test_one_folder_or_none_is_no_label(tmp_path: Path) -> None:
    assert labels(tmp_path / "none", pictures("a.png", "b.png")) is None
    assert labels(tmp_path / "one", pictures("all/a.png", "all/b.png")) is None
    assert labels(tmp_path / "beside", pictures("a.png", "more/b.png")) is None


def test_pictures_beside_class_folders(tmp_path: Path) -> None:
    files = pictures("cat/a.png", "dog/b.png", "preview.png")
    with pytest.raises(UserError, match=r"1 picture \(preview.png\) beside the 2 class folders"):
        labels(tmp_path, files)
    files["dataset.json"] = b'{"labels": null}'
    assert labels(tmp_path, files) is None


def test_a_class_without_pictures(tmp_path: Path) -> None:
    files = {**pictures("cat/a.png", "dog/b.png"), "eel/notes.txt": b"none yet"}
    with pytest.raises(UserError, match=r"1 class folder \(eel\) without pictures"):
        labels(tmp_path, files)


def test_a_hidden_folder_is_no_class(tmp_path: Path) -> None:
    files = {**pictures("cat/a.png", "dog/b.png"), ".cache/c.png": PICTURE}
    assert labels(tmp_path, files) == [0, 1]


def test_a_table_decides_over_folders(tmp_path: Path) -> None:
    names = ["00000/img0.png", "00000/img1.png", "00001/img2.png"]
    files = {**pictures(*names), "dataset.json": table(*zip(names, (7, 0, 7), strict=True))}
    manifest, images = prepared(Folder(write(tmp_path / "set", files)), tmp_path / "to")
    assert images.labels is not None
    assert images.labels.tolist() == [7, 0, 7]
    assert (manifest.classes, manifest.source["labels"]) == (None, "dataset.json")
    assert manifest.source["other files"] == 0


def test_a_table_may_lie_where_the_pictures_share_a_folder(tmp_path: Path) -> None:
    names = ["a.png", "b.png"]
    for where in ("", "data/", "data/train/"):
        files = {f"data/train/{name}": data for name, data in pictures(*names).items()}
        inside = "data/train/".removeprefix(where)
        files[f"{where}dataset.json"] = table((f"{inside}a.png", 1), (f"{inside}b.png", 0))
        assert labels(tmp_path / f"x{where}", files) == [1, 0]


def test_a_table_in_a_class_folder_is_just_a_file(tmp_path: Path) -> None:
    files = {**pictures("cat/a.png", "dog/b.png"), "cat/dataset.json": b"{}"}
    assert labels(tmp_path, files) == [0, 1]


def test_two_tables(tmp_path: Path) -> None:
    files = {**pictures("x/a.png"), "dataset.json": b"{}", "x/dataset.json": b"{}"}
    with pytest.raises(UserError, match="two label tables"):
        labels(tmp_path, files)


BAD = {
    "negative": (table(("a.png", -1), ("b.png", 0)), r"label of a\.png is -1; whole numbers"),
    "fraction": (table(("a.png", 0.5), ("b.png", 0)), r"label of a\.png is 0\.5"),
    "whole fraction": (table(("a.png", 3.0), ("b.png", 0)), r"label of a\.png is 3\.0"),
    "truth": (table(("a.png", True), ("b.png", 0)), r"label of a\.png is true"),
    "null": (table(("a.png", None), ("b.png", 0)), r"label of a\.png is null"),
    "text": (table(("a.png", "cat"), ("b.png", 0)), r'label of a\.png is "cat"'),
    "vector": (table(("a.png", [0, 1]), ("b.png", 0)), r"label of a\.png is \[0, 1\]"),
    "huge": (table(("a.png", 10**9), ("b.png", 0)), r"1000000000; whole numbers from 0 to 99,999"),
    "beyond int64": (table(("a.png", 10**30), ("b.png", 0)), "from 0 to 99,999"),
    "missing for one": (table(("a.png", 0)), r"1 picture \(b\.png\) without a label"),
    "of an absent picture": (
        table(("a.png", 0), ("b.png", 0), ("c.png", 1)), r"1 label \(c\.png\) of a picture that",
    ),
    "twice": (table(("a.png", 0), ("b.png", 0), ("a.png", 1)), r"1 file \(a\.png\) with two"),
    "no JSON": (b'{"labels": [["a.png", 0],', "not JSON"),
    "not UTF-8": (b'{"labels": [["\xff\xfe.png", 0]]}', "not JSON"),
    "nested without end": (b"[" * 100_000, "not JSON"),
    "no labels": (b"{}", "no labels in it"),
    "a list": (b"[]", "no labels in it"),
    "labels by name": (json.dumps({"labels": {"a.png": 0}}).encode(), "labels are no list"),
    "flat": (json.dumps({"labels": ["a.png", 0]}).encode(), "no pair of file and label"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_table(kind: str, tmp_path: Path) -> None:
    data, why = BAD[kind]
    files = {**pictures("a.png", "b.png"), "dataset.json": data}
    with pytest.raises(UserError, match=rf"dataset\.json: .*{why}"):
        labels(tmp_path, files)
    assert not (tmp_path / "to").exists()
