"""Sample grids as data URIs, no larger than they need to be."""

import base64
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from ictsweep.report.view import TrialView

SMALL = 288  # pixels; a thumbnail is the grid's upper left part, not a blur of all of it
COLUMNS = 8  # of a sheet
WHOLE = 32  # trials shown with their whole sheet
ROWS = 2  # of the sheets of all others


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A PNG in the page. `magnified`: so few pixels that they should show as squares."""

    uri: str
    width: int
    height: int
    magnified: bool


def picture(path: Path | None, limit: int = 1024) -> Picture | None:
    """The grid at `path`, its upper left part where it is wider than `limit`; None if it is
    missing or no picture.
    """
    image = opened(path)
    return None if image is None else encoded(_part(image, limit))


def opened(path: Path | None) -> Image.Image | None:
    """The picture at `path`, read; None if it is missing or no picture."""
    if path is None:
        return None
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError):
        return None


def sheets(
    trials: Iterable[TrialView], images: int, most_bytes: int
) -> Iterator[tuple[int, Picture]]:
    """The last sheet of `images` samples of each trial, whole for the first WHOLE, the upper ROWS
    of tiles for the rest, until `most_bytes` are used.
    """
    used, shown = 0, 0
    for trial in trials:
        image = opened(trial.sample)
        if image is None:
            continue
        found = encoded(image if shown < WHOLE else upper(image, images, ROWS))
        used += len(found.uri)
        if used > most_bytes:
            return
        shown += 1
        yield trial.number, found


def upper(image: Image.Image, images: int, rows: int) -> Image.Image:
    """The first rows of tiles of a sheet."""
    there = max(1, -(-images // COLUMNS))
    return image.crop((0, 0, image.width, image.height * min(rows, there) // there))


def _part(image: Image.Image, limit: int) -> Image.Image:
    """Halved from the right and from below until it fits: tiles stay whole where their number is
    a power of two.
    """
    width, height = image.size
    while width > limit or height > limit:
        width, height = (width + 1) // 2, (height + 1) // 2
    return image.crop((0, 0, width, height))


def encoded(image: Image.Image) -> Picture:
    """The image as a PNG in the page."""
    data = io.BytesIO()
    image.save(data, format="PNG", optimize=image.width * image.height < 10_000)
    uri = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
    return Picture(uri=uri, width=image.width, height=image.height, magnified=image.width <= 160)
