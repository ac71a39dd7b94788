"""Pictures in a folder, a .zip, a .tar and a .tar.gz: the same pixels in a fixed order."""

import io
import random
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ictsweep.data import prepare
from ictsweep.data.sources import Chunk
from ictsweep.data.sources.folder import Folder
from ictsweep.data.sources.listing import natural, shown
from ictsweep.data.sources.pictures import OddMode, Unusable, decode
from ictsweep.data.sources.resize import CentreSquare
from ictsweep.errors import UserError
from tests.data.pictures import encoded, pixels, prepared, write

NAMES = [f"{kind}/{n}.png" for kind in ("cat", "dog") for n in range(12)]
FILES = {name: encoded(pixels(seed)) for seed, name in enumerate(NAMES)}
STACK = np.stack([pixels(seed).transpose(2, 0, 1) for seed in range(len(NAMES))])
LABELS = [0] * 12 + [1] * 12


def folder(path: Path, files: dict[str, bytes]) -> Path:
    return write(path / "pets", files)


def stored_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path / "pets.zip", "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path / "pets.zip"


def deflated_zip(path: Path, files: dict[str, bytes]) -> Path:
    return stored_zip(path, files, zipfile.ZIP_DEFLATED)


def plain_tar(path: Path, files: dict[str, bytes], mode: str = "w", name: str = "pets.tar") -> Path:
    with tarfile.open(path / name, mode) as archive:
        for file, data in files.items():
            member = tarfile.TarInfo(f"./{file}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path / name


def zipped_tar(path: Path, files: dict[str, bytes]) -> Path:
    return plain_tar(path, files, "w:gz", "pets.tar.gz")


PACKS = [folder, stored_zip, deflated_zip, plain_tar, zipped_tar]
Pack = Callable[[Path, dict[str, bytes]], Path]


def read(source: Folder, start: int = 0) -> list[Chunk]:
    return list(source.read(source.plan(), start))


@pytest.mark.parametrize("pack", PACKS)
def test_all_forms_give_the_same_pictures_and_labels(pack: Pack, tmp_path: Path) -> None:
    manifest, images = prepared(Folder(pack(tmp_path, FILES)), tmp_path / "to")
    assert np.array_equal(images.pixels.numpy(), STACK)
    assert images.labels is not None
    assert images.labels.tolist() == LABELS
    assert (manifest.name, manifest.kind, manifest.classes) == ("pets", "folder", ("cat", "dog"))
    assert manifest.resize == "none"
    assert (manifest.skipped, manifest.converted) == ((), {})
    assert manifest.source["pictures"] == 24
    assert PIL.__version__ in manifest.source["decoder"]


@pytest.mark.parametrize("pack", PACKS)
def test_folders_that_all_share_are_no_classes(pack: Pack, tmp_path: Path) -> None:
    files = {f"data/train/{name}": data for name, data in FILES.items()}
    manifest, _ = prepared(Folder(pack(tmp_path, files)), tmp_path / "to")
    assert manifest.classes == ("cat", "dog")


@pytest.mark.parametrize("pack", [folder, stored_zip, plain_tar])
def test_the_order_is_natural_however_files_were_written(pack: Pack, tmp_path: Path) -> None:
    names = list(FILES)
    random.Random(0).shuffle(names)
    _, images = prepared(Folder(pack(tmp_path, {n: FILES[n] for n in names})), tmp_path / "to")
    assert np.array_equal(images.pixels.numpy(), STACK)


def test_a_compressed_tar_keeps_its_own_order_and_the_labels_follow(tmp_path: Path) -> None:
    names = list(FILES)
    random.Random(0).shuffle(names)
    _, images = prepared(Folder(zipped_tar(tmp_path, {n: FILES[n] for n in names})), tmp_path / "t")
    where = [NAMES.index(name) for name in names]
    assert np.array_equal(images.pixels.numpy(), STACK[where])
    assert images.labels is not None
    assert images.labels.tolist() == [LABELS[n] for n in where]


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("start", [0, 1, 11, 23, 24])
def test_reading_goes_on_from_any_item(pack: Pack, start: int, tmp_path: Path) -> None:
    files = {**FILES, "cat/3.png": b"junk", "dog/9.png": b""}
    chunks = read(Folder(pack(tmp_path, files), skip_bad=True), start)
    left = [n for n in range(start, 24) if n not in (3, 21)]
    assert np.array_equal(np.concatenate([STACK[:0], *(c.pixels for c in chunks)]), STACK[left])
    assert [label for c in chunks for label in c.labels] == [LABELS[n] for n in left]  # pyright: ignore[reportOptionalIterable]
    assert sum(c.items for c in chunks) == 24 - start
    skipped = [s.item for c in chunks for s in c.skipped]
    assert skipped == [n for n in ("cat/3.png", "dog/9.png") if NAMES.index(n) >= start]


def test_chunks_are_bounded(tmp_path: Path) -> None:
    size = 600  # 1.08 MB a picture in RGB
    files = {
        f"{n}.bmp": encoded(Image.new("RGB", (size, size), (n, 0, 0)), "BMP") for n in range(20)
    }
    chunks = read(Folder(write(tmp_path / "set", files)))
    assert [len(c.pixels) for c in chunks] == [15, 5]
    assert [int(p[0, 0, 0]) for c in chunks for p in c.pixels] == list(range(20))


def test_a_reader_that_is_given_up_leaves_no_threads(tmp_path: Path) -> None:
    source = Folder(folder(tmp_path, FILES))
    plan, before = source.plan(), threading.active_count()
    reader = source.read(plan, 0)
    next(reader)
    reader.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert threading.active_count() == before


def fingerprint(path: Path, **options) -> str:
    return Folder(path, **options).plan().fingerprint


def test_the_fingerprint_is_of_files_and_options(tmp_path: Path) -> None:
    path = folder(tmp_path, FILES)
    prints = [
        fingerprint(path),
        fingerprint(path, resize=8),
        fingerprint(path, resize=16),
        fingerprint(path, rgb=True),
        fingerprint(path, skip_bad=True),
    ]
    assert fingerprint(path) == prints[0]
    time.sleep(0.01)  # another time of change, whatever the clock's step
    (path / "cat/0.png").write_bytes(FILES["cat/1.png"].ljust(len(FILES["cat/0.png"])))
    prints.append(fingerprint(path))
    write(path, {"cat/99.png": FILES["cat/0.png"]})
    prints.append(fingerprint(path))
    assert len(set(prints)) == len(prints)


def test_a_picture_exchanged_in_a_zip_is_another_set_at_the_same_size(tmp_path: Path) -> None:
    a, b = encoded(pixels(1), "BMP"), encoded(pixels(2), "BMP")
    assert len(a) == len(b)
    first = fingerprint(stored_zip(tmp_path, {"x.bmp": a}))
    assert fingerprint(stored_zip(tmp_path, {"x.bmp": b})) != first
    assert fingerprint(stored_zip(tmp_path, {"x.bmp": a})) == first


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone: no such file or folder \(looked in "):
        Folder(tmp_path / "gone").plan()


# --- order ---


def test_natural_order() -> None:
    names = ["b/1.png", "a10.png", "a2.png", "a02.png", "a/10.png", "a/9.png", "b.png", "a2b10.png"]
    assert sorted(names, key=natural) == [
        "a/9.png", "a/10.png", "a02.png", "a2.png", "a2b10.png", "a10.png", "b/1.png", "b.png",
    ]  # fmt: skip


@given(st.lists(st.text(max_size=8), max_size=6))
@settings(max_examples=200)
def test_any_names_have_one_order(names: list[str]) -> None:
    ordered = sorted(names, key=natural)
    assert sorted(reversed(ordered), key=natural) == ordered


@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_numbers_are_ordered_as_numbers(a: int, b: int) -> None:
    assert (natural(f"x{a}y") < natural(f"x{b}y")) == (a < b)


def test_names_that_are_no_text_can_be_shown_and_read(tmp_path: Path) -> None:
    path = folder(tmp_path, {"a.png": FILES["cat/0.png"]})
    (path / "b\udcff.png").write_bytes(FILES["cat/1.png"])
    (path / "c\n\x1b[2J.png").write_bytes(b"junk")
    manifest, images = prepared(Folder(path, skip_bad=True), tmp_path / "to")
    assert np.array_equal(images.pixels.numpy(), STACK[:2])
    assert [s.item for s in manifest.skipped] == ["c\ufffd\ufffd[2J.png"]
    assert shown("b\udcff.png") == "b\ufffd.png"


def test_a_set_whose_own_name_is_no_text(tmp_path: Path) -> None:
    path = write(tmp_path / "b\udcff", {"a.png": FILES["cat/0.png"]})
    manifest, images = prepared(Folder(path), tmp_path / "to")
    assert (manifest.name, images.name) == ("b?", "b?")
    assert list(prepare(Folder(path), tmp_path / "to"))  # found again


# --- size ---


def test_halving_is_the_mean_of_four() -> None:
    wide = pixels(1, w=64, h=32).astype(int)
    rows = (wide[:, ::2] + wide[:, 1::2] + 1) // 2  # Pillow rounds after each direction
    means = (rows[::2] + rows[1::2] + 1) // 2
    got = np.asarray(CentreSquare(16)(Image.fromarray(wide.astype(np.uint8))))
    assert np.array_equal(got, means[:, 8:24])


def test_the_rest_is_an_antialiased_bicubic_filter() -> None:
    import torch

    rough = pixels(2, w=45, h=30) // 2 + 64  # no overshoot beyond 0 and 255
    square = CentreSquare(20)
    got = np.asarray(square(Image.fromarray(rough))).astype(float)
    # a = -0.5, support widened by the reduction: torch's own antialiased bicubic.
    whole = torch.from_numpy(rough).permute(2, 0, 1)[None].float()
    small = torch.nn.functional.interpolate(
        whole, size=(20, 30), mode="bicubic", antialias=True, align_corners=False
    )
    expected = small[0, :, :, 5:25].permute(1, 2, 0).numpy()
    assert np.abs(got - expected).max() <= 1.5  # rounded to levels twice
    assert np.abs(got - expected).mean() < 0.5


@given(w=st.integers(8, 300), h=st.integers(8, 300), side=st.integers(8, 64))
@settings(max_examples=60, deadline=None)
def test_any_size_becomes_the_square_and_one_colour_stays(w: int, h: int, side: int) -> None:
    image = CentreSquare(side)(Image.new("RGB", (w, h), (1, 128, 255)))
    assert image.size == (side, side)
    assert (np.asarray(image) == [1, 128, 255]).all()


def test_a_picture_of_the_size_is_left_alone() -> None:
    image = Image.fromarray(pixels(1))
    assert np.array_equal(np.asarray(CentreSquare(16)(image)), pixels(1))


def test_the_manifest_says_how_pictures_were_resized(tmp_path: Path) -> None:
    manifest, _ = prepared(Folder(folder(tmp_path, FILES), resize=8), tmp_path / "to")
    version = re.escape(PIL.__version__)
    assert re.match(
        rf"Pillow {version} with libjpeg-turbo [\d.]+: box filter to half while the short side is "
        r"16 or more, bicubic to a short side of 8, then the centre 8x8 ",
        manifest.resize,
    )


@pytest.mark.parametrize("side", [7, 0, -64])
def test_no_square_is_too_small(side: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"--resize {side}: at least 8 pixels"):
        Folder(folder(tmp_path, FILES), resize=side).plan()


# --- damage ---

SMOOTH = Image.fromarray(pixels(3, w=6, h=5)).resize((48, 40), Image.Resampling.BICUBIC)
FORMS = {"PNG": {}, "JPEG": {"quality": 90}, "WEBP": {"lossless": True}, "BMP": {}, "GIF": {},
         "TIFF": {"compression": "tiff_lzw"}, "PPM": {}}  # fmt: skip


def reads_as(data: bytes) -> np.ndarray | None:
    try:
        return decode(data, None, rgb=True).pixels
    except (Unusable, OddMode):
        return None


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("form", FORMS)
def test_a_file_cut_anywhere_gives_its_pixels_or_none(form: str) -> None:
    data = encoded(SMOOTH, form, **FORMS[form])
    whole = reads_as(data)
    assert whole is not None
    for length in random.Random(form).sample(range(len(data)), 120):
        pixels = reads_as(data[:length])
        assert pixels is None or np.array_equal(pixels, whole), length


def test_a_png_with_one_bit_flipped_gives_its_pixels_or_none() -> None:
    data = encoded(SMOOTH, "PNG")
    whole = reads_as(data)
    lost = 0
    for bit in random.Random(0).sample(range(8 * len(data)), 800):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        pixels = reads_as(bytes(changed))
        lost += pixels is None
        assert pixels is None or np.array_equal(pixels, whole), bit
    assert lost > 780


# --- a kill ---

_PREPARE = """
import sys
import time
from pathlib import Path
import ictsweep.data.sources.folder as folder
from ictsweep.data import prepare
folder._CHUNK_ITEMS = 3
for progress in prepare(folder.Folder(Path(sys.argv[1]), skip_bad=True), Path(sys.argv[2])):
    if progress.done == 9:
        print("!", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("pack", [folder, zipped_tar])
def test_a_kill_then_the_same_call_gives_the_same_bytes(pack: Pack, tmp_path: Path) -> None:
    path = pack(tmp_path, {**FILES, "dog/2.png": b"junk"})
    whole = tmp_path / "whole"
    prepared(Folder(path, skip_bad=True), whole)
    command = [sys.executable, "-c", _PREPARE, str(path), str(tmp_path / "to")]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert killed.stdout is not None
    assert killed.stdout.read(1) == b"!"  # three chunks are safe
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    assert not (tmp_path / "to").exists()
    prepared(Folder(path, skip_bad=True), tmp_path / "to")
    for name in ("images.npy", "labels.npy", "manifest.json"):
        assert (tmp_path / "to" / name).read_bytes() == (whole / name).read_bytes(), name
