"""ImageNet at 64x64 from its own pictures."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ictsweep.data.sources import Chunk, Plan
from ictsweep.data.sources.folder import Folder
from ictsweep.errors import UserError

__all__ = ["ImageNetPictures"]

_CLASSES = 1000
_SIDE = 64


@dataclass(frozen=True, eq=False)
class ImageNetPictures:
    """ImageNet's training pictures, or with `train` off its validation pictures, in a folder, .zip,
    .tar or .tar.gz of 1,000 class folders: RGB, resized by `CentreSquare` (a few of ImageNet's are
    smaller than 64 pixels: they are enlarged, and counted).

    UserError for what cannot be ImageNet: another number of classes.
    """

    path: Path
    train: bool = True
    skip_bad: bool = False

    def plan(self) -> Plan:
        """The pictures' plan under the name of the data set."""
        try:
            classes = self._pictures.classes
        except UserError as error:
            raise UserError(f"{error}; {self._expected}") from error
        if classes != _CLASSES:
            raise UserError(
                f"{self.path}: not ImageNet: {classes:,} classes of pictures; {self._expected}; "
                "for a subset or another set, `ictsweep prepare folder "
                f"{self.path} --resize {_SIDE}`"
            )
        name = "imagenet64" if self.train else "imagenet64-val"
        return replace(self._pictures.plan(), name=name, kind=name)

    def read(self, plan: Plan, start: int) -> Iterator[Chunk]:
        """The pictures from item `start` on."""
        return self._pictures.read(plan, start)

    @property
    def _expected(self) -> str:
        parts = "train_part1.zip and Imagenet64_train_part2.zip" if self.train else "val.zip"
        return (
            f"expected {_CLASSES:,} class folders of pictures, or the published archives "
            f"Imagenet64_{parts} (or their _npz.zip)"
        )

    @cached_property
    def _pictures(self) -> Folder:
        return Folder(self.path, resize=_SIDE, rgb=True, skip_bad=self.skip_bad)
