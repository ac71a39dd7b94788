"""A set of pictures in which something is wrong, in each way that we know of: for each kind one
clear error, or the counted and listed skip or conversion that was asked for.
"""

import gzip
import io
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ictsweep.data.sources.folder import Folder
from ictsweep.errors import UserError
from tests.data.pictures import encoded, pixels, png, prepared, write

GOOD = {f"{n}.png": encoded(pixels(n)) for n in range(4)}
STACK = np.stack([pixels(n).transpose(2, 0, 1) for n in range(4)])

RGB = Image.fromarray(pixels(9))
FRAMES = [Image.fromarray(pixels(n)) for n in range(20, 23)]
JPEG = encoded(pixels(9), "JPEG", quality=95)


def cut(data: bytes, keep: float = 0.67) -> bytes:
    return data[: int(keep * len(data))]


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


def deep(colour: int, channels: int) -> bytes:
    return png(w=16, h=16, depth=16, colour=colour, rows=bytes(16 * (1 + 16 * 2 * channels)))


NOISE = b"".join(b"\0" + pixels(1)[row].tobytes() for row in range(16))

# name of the file, its bytes, why it gives no picture
UNUSABLE: dict[str, tuple[str, bytes, str]] = {
    "truncated PNG": ("x.png", cut(encoded(pixels(9))), "damaged or truncated"),
    "truncated JPEG": ("x.jpg", cut(JPEG, 0.95), "truncated"),
    "truncated WebP": ("x.webp", cut(encoded(pixels(9), "WEBP", lossless=True)), "damaged"),
    "truncated GIF": ("x.gif", cut(encoded(RGB.convert("P"), "GIF"), 0.95), "truncated"),
    "truncated BMP": ("x.bmp", cut(encoded(pixels(9), "BMP")), "truncated"),
    "truncated TIFF": ("x.tif", cut(encoded(pixels(9), "TIFF")), "."),
    "truncated PPM": ("x.ppm", cut(encoded(pixels(9), "PPM")), "truncated"),
    "PNG with a flipped bit": ("x.png", flipped(encoded(pixels(9))), "damaged"),
    "PNG whose data stop early": (
        "x.png",
        png(w=16, h=16, depth=8, colour=2, rows=NOISE, lost=90),
        "damaged or truncated",
    ),
    "JPEG header alone": ("x.jpg", JPEG[:20], "not a picture|damaged"),
    "empty file": ("x.png", b"", "empty file"),
    "web page as .jpg": ("x.jpg", b"<html><body>404 Not Found</body></html>", "not a picture"),
    "zeros": ("x.png", bytes(5000), "not a picture"),
    "noise": ("x.jpeg", np.random.default_rng(1).bytes(5000), "not a picture"),
    "PostScript as .png": ("x.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a"),
    "decompression bomb": (
        "x.png",
        png(w=60_000, h=60_000, depth=8, colour=2, rows=b""),
        "too large",
    ),
    "large, below Pillow's own limit": (
        "x.png",
        png(w=10_000, h=10_000, depth=8, colour=0, rows=b""),
        "too large: 10000x10000",
    ),
    "16-bit grey PNG": ("x.png", deep(0, 1), "more than 8 bits"),
    "16-bit colour PNG": ("x.png", deep(2, 3), "more than 8 bits"),
    "16-bit PNG with alpha": ("x.png", deep(6, 4), "more than 8 bits"),
    "16-bit TIFF": ("x.tiff", encoded(np.zeros((16, 16), np.uint16), "TIFF"), "more than 8 bits"),
    "float TIFF": ("x.tif", encoded(np.zeros((16, 16), np.float32), "TIFF"), "more than 8 bits"),
    "10-bit PPM": ("x.ppm", b"P6 16 16 1023\n" + bytes(16 * 16 * 6), "more than 8 bits"),
    "LAB TIFF": ("x.tif", encoded(Image.new("LAB", (16, 16)), "TIFF"), "mode LAB"),
    "animated GIF": (
        "x.gif",
        encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]),
        "3 frames",
    ),
    "animated PNG": (
        "x.png",
        encoded(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]),
        "3 frames",
    ),
    "animated WebP": (
        "x.webp",
        encoded(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]),
        "3 frames",
    ),
    "TIFF with pages": (
        "x.tif",
        encoded(FRAMES[0], "TIFF", save_all=True, append_images=FRAMES[1:]),
        "3 frames or pages",
    ),
}  # fmt: skip

# mode -> the file and what it is as RGB, [h, w, 3]
ODD: dict[str, tuple[str, bytes]] = {
    "P": ("x.png", encoded(RGB.quantize(16))),
    "RGBA": ("x.png", encoded(pixels(9, c=4))),
    "CMYK": ("x.jpg", encoded(RGB.convert("CMYK"), "JPEG")),
    "LA": ("x.png", encoded(Image.fromarray(pixels(9, c=1)).convert("LA"))),
    "1": ("x.png", encoded(RGB.convert("1"))),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_file_without_a_picture_is_named(kind: str, tmp_path: Path) -> None:
    name, data, why = UNUSABLE[kind]
    folder = write(tmp_path / "set", {**GOOD, name: data})
    with pytest.raises(UserError, match=rf"(?s){name}.*{why}.*--skip-bad"):
        prepared(Folder(folder), tmp_path / "to")
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_file_without_a_picture_is_skipped_and_listed_on_demand(
    kind: str, tmp_path: Path
) -> None:
    name, data, _ = UNUSABLE[kind]
    folder = write(tmp_path / "set", {**GOOD, name: data})
    manifest, images = prepared(Folder(folder, skip_bad=True), tmp_path / "to")
    assert np.array_equal(images.pixels.numpy(), STACK)
    assert (manifest.count, manifest.converted) == (4, {})
    assert [skipped.item for skipped in manifest.skipped] == [name]


@pytest.mark.parametrize("mode", ODD)
def test_an_odd_mode_is_named_and_never_skipped(mode: str, tmp_path: Path) -> None:
    name, data = ODD[mode]
    folder = write(tmp_path / "set", {**GOOD, name: data})
    with pytest.raises(UserError, match=rf"{name} is {mode} .*--rgb|{name} is {mode},.*--rgb"):
        prepared(Folder(folder, skip_bad=True), tmp_path / "to")


@pytest.mark.parametrize("mode", ODD)
def test_an_odd_mode_is_converted_and_counted_on_demand(mode: str, tmp_path: Path) -> None:
    name, data = ODD[mode]
    folder = write(tmp_path / "set", {**GOOD, name: data})
    manifest, images = prepared(Folder(folder, rgb=True), tmp_path / "to")
    dropped = " (transparency dropped)" if mode in ("RGBA", "LA") else ""
    assert manifest.converted == {mode + dropped: 1}
    assert np.array_equal(images.pixels[:4].numpy(), STACK)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(images.pixels[4].numpy(), expected.transpose(2, 0, 1))


def test_alpha_is_dropped_not_blended(tmp_path: Path) -> None:
    clear = pixels(9, c=4)
    clear[..., 3] = 0
    folder = write(tmp_path / "set", {"a.png": encoded(clear)})
    _, images = prepared(Folder(folder, rgb=True), tmp_path / "to")
    assert np.array_equal(images.pixels[0].numpy(), clear[..., :3].transpose(2, 0, 1))


@pytest.mark.parametrize(("channels", "key"), [(3, (1, 2, 3)), (1, 7)])
def test_a_transparent_colour_is_transparency(tmp_path: Path, channels: int, key: object) -> None:
    """The tRNS chunk of a PNG without alpha."""
    plain = pixels(9, c=channels)
    mode = "RGB" if channels == 3 else "L"
    folder = write(tmp_path / "set", {"a.png": encoded(plain, transparency=key)})
    message = rf"a\.png is {mode} with a transparent colour, neither plain grey nor RGB; --rgb conv"
    with pytest.raises(UserError, match=message):
        prepared(Folder(folder, skip_bad=True), tmp_path / "to")
    manifest, images = prepared(Folder(folder, rgb=True), tmp_path / "to")
    assert manifest.converted == {f"{mode} (transparency dropped)": 1}
    expected = plain.transpose(2, 0, 1) if channels == 3 else np.stack([plain] * 3)
    assert np.array_equal(images.pixels[0].numpy(), expected)


def test_a_palette_with_transparent_colours_keeps_its_colours(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    palette = RGB.quantize(16)
    data = encoded(palette, transparency=bytes([0, 128] * 8))
    folder = write(tmp_path / "set", {"a.png": data})
    _, images = prepared(Folder(folder, rgb=True), tmp_path / "to")
    expected = np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(images.pixels[0].numpy(), expected)
    assert not recwarn.list


def test_a_bmp_of_16_bits_per_pixel_is_not_deep(tmp_path: Path) -> None:
    """5, 6 and 5 bits per channel: red, green, blue and white come out at full height."""
    header = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 16, 3, 128, 0, 0, 0, 0)
    masks = struct.pack("<3I", 0xF800, 0x07E0, 0x001F)
    start = 14 + len(header) + len(masks)
    rows = struct.pack("<8H", *[0xF800, 0x07E0, 0x001F, 0xFFFF] * 2) * 8
    data = b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + masks + rows
    _, images = prepared(Folder(write(tmp_path / "set", {"a.bmp": data})), tmp_path / "to")
    expected = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]] * 2
    assert images.pixels[0, :, 3].T.tolist() == expected


def test_a_lack_of_memory_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a good picture would be left out on one machine and not on another."""

    def opened(*_, **__):
        raise MemoryError

    folder = write(tmp_path / "set", GOOD)
    monkeypatch.setattr(Image, "open", opened)
    with pytest.raises(UserError, match=r"\d\.png: not enough memory"):
        prepared(Folder(folder, skip_bad=True), tmp_path / "to")


def test_grey_among_colour(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", {**GOOD, "x.png": encoded(pixels(9, c=1))})
    with pytest.raises(UserError, match=r"x\.png is grey but 0\.png is RGB; --rgb"):
        prepared(Folder(folder, skip_bad=True), tmp_path / "to")
    manifest, images = prepared(Folder(folder, rgb=True), tmp_path / "to")
    assert (manifest.converted, images.shape) == ({"L": 1}, (3, 16, 16))
    assert np.array_equal(images.pixels[4].numpy(), np.stack([pixels(9, c=1)] * 3))


def test_colour_among_grey(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", {"a.png": encoded(pixels(9, c=1)), "b.png": GOOD["0.png"]})
    with pytest.raises(UserError, match=r"a\.png is grey but b\.png is RGB"):
        prepared(Folder(folder), tmp_path / "to")


def test_all_grey_stays_one_channel(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", {f"{n}.png": encoded(pixels(n, c=1)) for n in range(3)})
    manifest, images = prepared(Folder(folder), tmp_path / "to")
    assert images.shape == (1, 16, 16)
    assert manifest.converted == {}


def test_mixed_sizes_name_the_first_two(tmp_path: Path) -> None:
    sizes = {"x.png": encoded(pixels(9, w=17)), "y.png": encoded(pixels(9, w=40))}
    folder = write(tmp_path / "set", {**GOOD, **sizes})
    with pytest.raises(UserError, match=r"0\.png is 16x16 but x\.png is 17x16.*--resize N"):
        prepared(Folder(folder, skip_bad=True), tmp_path / "to")
    manifest, images = prepared(Folder(folder, resize=8), tmp_path / "to")
    assert (manifest.count, images.shape) == (6, (3, 8, 8))


def test_pictures_too_small_to_learn(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", {"a.png": encoded(pixels(1, w=4))})
    with pytest.raises(UserError, match=r"a\.png is 4x16; at least 8x8"):
        prepared(Folder(folder), tmp_path / "to")


def test_pictures_smaller_than_asked_for_are_counted(tmp_path: Path) -> None:
    files = {"a.png": encoded(pixels(1, w=4)), "b.png": encoded(pixels(1, w=99, h=99))}
    folder = write(tmp_path / "set", files)
    manifest, _ = prepared(Folder(folder, resize=32), tmp_path / "to")
    assert manifest.converted == {"enlarged": 1}


def test_a_thread_of_pixels_cannot_be_blown_up(tmp_path: Path) -> None:
    files = {**GOOD, "x.png": encoded(np.zeros((1, 60_000), np.uint8))}
    folder = write(tmp_path / "set", files)
    with pytest.raises(UserError, match=r"x\.png.*too long for --resize 64"):
        prepared(Folder(folder, resize=64, rgb=True), tmp_path / "to")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotated_pictures_are_upright(form: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}.get(form, {})
    w, h = (16, 24) if orientation < 5 else (24, 16)
    data = encoded(pixels(5, w=w, h=h), form, exif=exif, **options)
    # A viewer's rows and columns, from the tag's definition: where the stored first row and first
    # column are shown.
    stored = np.asarray(Image.open(io.BytesIO(encoded(pixels(5, w=w, h=h), form, **options))))
    shown = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1],
        5: stored.transpose(1, 0, 2), 6: stored.transpose(1, 0, 2)[:, ::-1],
        7: stored.transpose(1, 0, 2)[::-1, ::-1], 8: stored.transpose(1, 0, 2)[::-1],
    }[orientation]  # fmt: skip
    folder = write(tmp_path / "set", {f"a.{form.lower()}": data})
    manifest, images = prepared(Folder(folder), tmp_path / "to")
    assert np.array_equal(images.pixels[0].numpy(), shown.transpose(2, 0, 1))
    assert manifest.converted == ({} if orientation == 1 else {"EXIF orientation": 1})


def test_damaged_exif_says_nothing_about_the_pixels(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    data = encoded(pixels(5), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + bytes(40))
    folder = write(tmp_path / "set", {"a.jpg": data})
    manifest, _ = prepared(Folder(folder), tmp_path / "to")
    assert (manifest.count, manifest.converted) == (1, {})
    assert not recwarn.list


def _link_to_nowhere(folder: Path) -> None:
    (folder / "x.png").symlink_to(folder / "nowhere.png")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "x.png")


@pytest.mark.parametrize(
    ("make", "why"),
    [(_link_to_nowhere, "No such file"), (_pipe, "not a regular file")],
)
def test_what_is_no_file(make: Callable[[Path], None], why: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "set", GOOD)
    make(folder)
    with pytest.raises(UserError, match=rf"x\.png: cannot be read \(.*{why}"):
        prepared(Folder(folder), tmp_path / "to")
    manifest, images = prepared(Folder(folder, skip_bad=True), tmp_path / "to")
    assert [skipped.item for skipped in manifest.skipped] == ["x.png"]
    assert np.array_equal(images.pixels.numpy(), STACK)


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", GOOD)
    (folder / "again").symlink_to(folder)
    _, images = prepared(Folder(folder), tmp_path / "to")
    assert np.array_equal(images.pixels.numpy(), STACK)


def test_a_folder_called_as_a_picture_is_a_folder(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", {f"x.png/{name}": data for name, data in GOOD.items()})
    _, images = prepared(Folder(folder), tmp_path / "to")
    assert np.array_equal(images.pixels.numpy(), STACK)


def test_hidden_files_and_dross_are_no_pictures(tmp_path: Path) -> None:
    dross = {
        "._0.png": b"resource fork", "__MACOSX/._1.png": b"x", ".DS_Store": b"x", "Thumbs.db": b"x",
        ".cache/2.png": b"x", "notes.txt": b"taken in May", "list.csv": b"",
    }  # fmt: skip
    folder = write(tmp_path / "set", {**GOOD, **dross})
    manifest, images = prepared(Folder(folder), tmp_path / "to")
    assert np.array_equal(images.pixels.numpy(), STACK)
    assert manifest.source["other files"] == 2


@pytest.mark.parametrize("files", [{}, {"a.txt": b"x", "b.psd": b"x"}])
def test_no_pictures(files: dict[str, bytes], tmp_path: Path) -> None:
    folder = write(tmp_path / "set", files)
    folder.mkdir(exist_ok=True)
    with pytest.raises(UserError, match=rf"no pictures \(png, .*among {len(files)} files"):
        prepared(Folder(folder), tmp_path / "to")


def test_no_picture_can_be_used(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", {f"{n}.png": b"junk" for n in range(3)})
    with pytest.raises(UserError, match=r"none of 3 pictures.*2\.png: not a picture"):
        prepared(Folder(folder, skip_bad=True), tmp_path / "to")


def _zip(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def _tar(files: dict[str, bytes], mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=tarfile.GNU_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def _encrypted(data: bytes) -> bytes:
    """Sets the flag in each local header and in the directory."""
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        parts = data.split(mark)
        data = mark.join([parts[0], *(p[: at - 4] + b"\1" + p[at - 3 :] for p in parts[1:])])
    return data


TAR_GZ = _tar(GOOD, "w:gz")
BLOCKS = [(len(data) + 511) // 512 * 512 + 512 for data in GOOD.values()]

ARCHIVES = {
    "truncated zip": ("a.zip", cut(_zip(GOOD)), "cannot be read as a .zip.*truncated"),
    "empty zip file": ("a.zip", b"", "cannot be read as a .zip"),
    "zip without pictures": ("a.zip", _zip({}), "no pictures .* among 0 files"),
    "encrypted zip": ("a.zip", _encrypted(_zip(GOOD)), "0.png is encrypted"),
    "zip with a damaged picture": (
        "a.zip", _zip(GOOD).replace(GOOD["2.png"], flipped(GOOD["2.png"])),
        r"2\.png: cannot be read \(Bad CRC-32",
    ),
    "truncated tar": ("a.tar", cut(_tar(GOOD), 0.5), "truncated or damaged"),
    "tar that ends between two pictures": (
        "a.tar", _tar(GOOD)[: sum(BLOCKS[:3])], "without its end mark",
    ),
    "tar that goes on with noise": (
        "a.tar", _tar(GOOD)[: sum(BLOCKS[:3])] + bytes(range(256)) * 40, "without its end mark",
    ),
    "not a tar": ("a.tar", b"x" * 5000, "truncated or damaged"),
    "tar.gz of a tar that ends between two pictures": (
        "a.tar.gz", gzip.compress(_tar(GOOD)[: sum(BLOCKS[:3])]), "without its end mark",
    ),
    "truncated tar.gz": ("a.tar.gz", cut(TAR_GZ), "truncated or damaged"),
    "tar.gz without its last bytes": ("a.tgz", TAR_GZ[:-6], "truncated or damaged"),
    "tar.gz with a wrong checksum": (
        "a.tar.gz", TAR_GZ[:-8] + bytes(4) + TAR_GZ[-4:], "CRC check failed.*truncated or damaged",
    ),
    "unknown archive": ("a.rar", b"Rar!", "not a folder, .zip, .tar or .tar.gz"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ARCHIVES)
def test_a_damaged_archive(kind: str, tmp_path: Path) -> None:
    name, data, why = ARCHIVES[kind]
    write(tmp_path, {name: data})
    with pytest.raises(UserError, match=f"(?s){name}.*{why}"):
        prepared(Folder(tmp_path / name), tmp_path / "to")
    assert not (tmp_path / "to").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_in_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", GOOD["0.png"])
        archive.writestr("a.png", GOOD["1.png"])
    with pytest.raises(UserError, match=r"a\.png twice"):
        prepared(Folder(path), tmp_path / "to")


@pytest.mark.parametrize("form", ["tar", "tar.gz"])
def test_links_and_members_outside_a_tar_are_no_pictures(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{form}"
    with tarfile.open(path, "w:gz" if form == "tar.gz" else "w") as archive:
        for name, data in {**GOOD, "../up.png": b"x", "/abs.png": b"x"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, kind in (("soft.png", tarfile.SYMTYPE), ("hard.png", tarfile.LNKTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/hostname"
            archive.addfile(member)
    manifest, images = prepared(Folder(path), tmp_path / "to")
    assert np.array_equal(images.pixels.numpy(), STACK)
    assert manifest.source["other files"] == 4


def test_links_and_members_outside_a_zip_are_no_pictures(tmp_path: Path) -> None:
    path = write(tmp_path, {"a.zip": _zip({**GOOD, "../up.png": b"x", "/abs.png": b"x"})}) / "a.zip"
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("soft.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/hostname")
    manifest, images = prepared(Folder(path), tmp_path / "to")
    assert np.array_equal(images.pixels.numpy(), STACK)
    assert manifest.source["other files"] == 3
