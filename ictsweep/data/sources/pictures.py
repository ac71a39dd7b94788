"""The bytes of a picture file -> 8-bit grey or RGB pixels, or why there are none."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFile

from ictsweep.data.sources.resize import MAX_PIXELS, CentreSquare

MAX_BYTES = 1 << 29  # of one file

# Only these formats are tried: others start programs (EPS) or are no pictures (PDF).
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_PLAIN = {"L", "RGB"}
_DROPPED = " (transparency dropped)"
_CONVERTED = {"1", "L", "LA", "La", "P", "PA", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"}
ENLARGED = "enlarged"
_ORIENTATION = 0x0112  # the EXIF tag; each value is undone by
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Unusable(Exception):
    """Why a file gives no picture: it is damaged, too large, animated or of more than 8 bits."""


class OddMode(Exception):
    """A picture that is neither grey nor RGB, or has a transparent colour, and was not to be
    converted; the mode it has.
    """


@dataclass(frozen=True, eq=False)
class Picture:
    """`pixels` uint8 [c, h, w] with c 1 (grey) or 3 (RGB), and what was `done` to the file's own:
    the mode that was converted, "EXIF orientation" where it was turned upright, ENLARGED.
    """

    pixels: np.ndarray
    done: tuple[str, ...] = ()


def decode(data: bytes, resize: CentreSquare | None, *, rgb: bool) -> Picture:
    """The picture in a file's bytes; Unusable or OddMode where there is none.

    A picture is turned upright as its EXIF orientation says, as every viewer shows it. `rgb`
    converts as `Image.convert("RGB")` does: alpha is dropped, not blended, so that the stored
    colours appear, and colour profiles are ignored. One colour declared transparent counts as
    alpha. Of a multi-picture JPEG (MPO) the first picture is taken, which is the one on show.
    A PNG's checksums are compared. The other formats have none: one damaged inside may decode to
    wrong pixels, unless it lies in a .zip or .tar.gz, which have their own.
    """
    image, turned = _loaded(data)
    done = ["EXIF orientation"] if turned else []
    keyed = image.mode in _PLAIN and image.has_transparency_data
    if rgb and (keyed or image.mode != "RGB"):
        done.append(image.mode + (_DROPPED if image.has_transparency_data else ""))
        image = image.convert("RGB")
    elif keyed or image.mode not in _PLAIN:
        raise OddMode(image.mode + (" with a transparent colour" if keyed else ""))
    if resize is not None:
        if problem := resize.problem(image.size):
            raise Unusable(problem)
        done += [ENLARGED] if min(image.size) < resize.side else []
        image = resize(image)
    pixels = np.asarray(image)
    channels_first = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return Picture(channels_first, tuple(done))


def _loaded(data: bytes) -> tuple[Image.Image, bool]:
    """The picture upright, and whether it had to be turned. Only what Pillow itself raises on the
    bytes makes them unusable; a mistake of ours must not pass for a damaged file.
    """
    if not data:
        raise Unusable("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _require_one_small_picture(image)
            if image.format == "PNG":
                # Pillow reads pixels past a wrong checksum: one bit in six of a smooth picture
                # can change without an error.
                with Image.open(io.BytesIO(data), formats=("PNG",)) as unread:
                    unread.verify()
            # Pillow turns a TIFF itself, in load; the others' tags may come after the pixels.
            turned = image.format == "TIFF" and _orientation(image) in _UPRIGHT
            image.load()
            turn = _UPRIGHT.get(_orientation(image))
            return (image, turned) if turn is None else (image.transpose(turn), True)
    except (Unusable, MemoryError):
        raise
    except Image.UnidentifiedImageError:
        raise Unusable("not a picture of a known format") from None
    except Image.DecompressionBombError as error:
        raise Unusable(f"too large: {error}") from error
    except Exception as error:  # decoders raise anything at all on damaged bytes
        raise Unusable(f"damaged or truncated ({error or type(error).__name__})") from error


def _require_one_small_picture(image: ImageFile.ImageFile) -> None:
    """Unusable for what the header alone tells; nothing is decoded yet."""
    if image.width * image.height > MAX_PIXELS:
        raise Unusable(f"too large: {image.width}x{image.height}, over {MAX_PIXELS:,} pixels")
    if _deep(image):
        raise Unusable("more than 8 bits per channel; convert it to 8 bits")
    if image.mode not in _CONVERTED | _PLAIN:
        raise Unusable(f"colours of mode {image.mode}")
    frames = getattr(image, "n_frames", None) or 1
    if frames > 1 and image.format != "MPO":
        raise Unusable(f"{frames} frames or pages in one file; keep one of them")


def _deep(image: ImageFile.ImageFile) -> bool:
    """Whether the file has more than 8 bits per channel. Pillow drops the lower ones of a 16-bit
    colour picture without a word, so that its mode does not tell; how it is unpacked does.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return True
    for codec, _, _, given in image.tile:
        arguments = given if isinstance(given, tuple) else (given,)
        words = [word for word in arguments if isinstance(word, str)]
        # BGR;16 is a BMP's pixel of 16 bits, 5 or 6 per channel.
        if any(";16" in word and word != "BGR;16" for word in words):
            return True
        largest = max((value for value in arguments if isinstance(value, int)), default=0)
        if codec.startswith("ppm") and largest > 255:
            return True
    return False


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # metadata that cannot be read says nothing about the pixels
        return 1
