"""One size for pictures of any size."""

from dataclasses import dataclass

import PIL
from PIL import Image, features

from ictsweep.data.images import MIN_SIDE
from ictsweep.errors import UserError

MAX_PIXELS = 89_478_485  # a quarter of a gigabyte in RGB, where Pillow starts to warn


def decoder() -> str:
    """Which libraries turn files into pixels: other versions may round otherwise."""
    return f"Pillow {PIL.__version__} with libjpeg-turbo {features.version('libjpeg_turbo')}"


@dataclass(frozen=True)
class CentreSquare:
    """The centre of a picture, `side` pixels high and wide, as the ImageNet of Dhariwal & Nichol
    2021 (arXiv:2105.05233) was made.

    While the short side is at least twice `side`, each pixel becomes the mean of two by two (box
    filter; an odd last row or column is shared out). A bicubic filter brings the short side to
    `side`, and the middle of the long side is kept. The files of EDM (Karras et al. 2022,
    arXiv:2206.00364) and the archives of Chrabaszcz et al. 2017 (arXiv:1707.08819) were made with
    other filters: their numbers and these have other references.
    """

    side: int

    def __post_init__(self) -> None:
        if self.side < MIN_SIDE:
            raise UserError(f"--resize {self.side}: at least {MIN_SIDE} pixels are needed")

    def problem(self, size: tuple[int, int]) -> str | None:
        """Why a picture of this width and height is refused: so thin that it would grow beyond
        MAX_PIXELS.
        """
        short, long = sorted(size)
        if self.side * max(self.side, round(long * self.side / short)) <= MAX_PIXELS:
            return None
        return f"{size[0]}x{size[1]} is too long for --resize {self.side}"

    def __call__(self, image: Image.Image) -> Image.Image:
        """The picture as `side` x `side`."""
        while min(image.size) >= 2 * self.side:
            half = (image.width // 2, image.height // 2)
            image = image.resize(half, Image.Resampling.BOX)
        scale = self.side / min(image.size)
        width, height = round(image.width * scale), round(image.height * scale)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (width - self.side) // 2, (height - self.side) // 2
        return image.crop((left, top, left + self.side, top + self.side))

    def words(self) -> str:
        """What is done, exactly."""
        n = self.side
        return (
            f"{decoder()}: box filter to half while the short side is {2 * n} or more, bicubic to "
            f"a short side of {n}, then the centre {n}x{n} (Dhariwal & Nichol 2021)"
        )
