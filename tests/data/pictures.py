"""Picture files for tests, good and bad, made from scratch."""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from ictsweep.data import open_prepared, prepare, read_manifest
from ictsweep.data.images import Images
from ictsweep.data.manifest import Manifest
from ictsweep.data.sources import Source


def pixels(seed: int, w: int = 16, h: int = 16, c: int = 3) -> np.ndarray:
    """uint8 [h, w, c], without the last axis for c = 1."""
    values = np.random.default_rng(seed).integers(0, 256, (h, w, c), dtype=np.uint8)
    return values[..., 0] if c == 1 else values


def encoded(picture: np.ndarray | Image.Image, form: str = "PNG", **options) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def png(*, w: int, h: int, depth: int, colour: int, rows: bytes, lost: int = 0) -> bytes:
    """A PNG that Pillow cannot write itself: any depth, any size in the header, `lost` bytes
    less of the compressed rows than there should be.
    """

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, 0)
    data = zlib.compress(rows)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", data[: len(data) - lost]) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def table(*pairs: tuple[str, object]) -> bytes:
    return json.dumps({"labels": [list(pair) for pair in pairs]}).encode()


def prepared(source: Source, to: Path) -> tuple[Manifest, Images]:
    for _ in prepare(source, to):
        pass
    return read_manifest(to), open_prepared(to)
