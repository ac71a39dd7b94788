"""Sample grids as data URIs, no larger than they need to be."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

SMALL = 288  # pixels; a thumbnail is the grid's upper left part, not a blur of all of it


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
    if path is None:
        return None
    try:
        with Image.open(path) as image:
            image.load()
            return _encoded(_part(image, limit))
    except (OSError, UnidentifiedImageError):
        return None


def _part(image: Image.Image, limit: int) -> Image.Image:
    """Halved from the right and from below until it fits: tiles stay whole where their number is
    a power of two.
    """
    width, height = image.size
    while width > limit or height > limit:
        width, height = (width + 1) // 2, (height + 1) // 2
    return image.crop((0, 0, width, height))


def _encoded(image: Image.Image) -> Picture:
    data = io.BytesIO()
    image.save(data, format="PNG", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
    return Picture(uri=uri, width=image.width, height=image.height, magnified=image.width <= 160)
