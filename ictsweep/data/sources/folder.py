"""Pictures in a folder or an archive."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from ictsweep.data.images import MIN_SIDE
from ictsweep.data.sources import Chunk, Plan, Skipped
from ictsweep.data.sources.classes import Labels, labels_of
from ictsweep.data.sources.containers import Container, container
from ictsweep.data.sources.decoding import Decoder, Outcome
from ictsweep.data.sources.listing import SUFFIXES, Item, Listing, shown
from ictsweep.data.sources.pictures import OddMode, Picture, Unusable
from ictsweep.data.sources.resize import CentreSquare, decoder
from ictsweep.errors import UserError

_CHUNK_BYTES = 1 << 24  # of pixels in a chunk,
_CHUNK_ITEMS = 1024  # and pictures in it
_JOB_ITEMS = 16  # pictures that one thread decodes one after the other


@dataclass(frozen=True, eq=False)
class Folder:
    """The pictures in a folder, .zip, .tar or .tar.gz, in natural order of their names (a .tar.gz
    keeps its own order); `labels_of` says which labels they get.

    All pictures must have one size unless `resize` brings them to N x N (`CentreSquare`), and be
    all grey or all RGB unless `rgb` converts them. `skip_bad` leaves out, counts and lists files
    that give no picture of their own: damaged, truncated, empty, too large, animated, of more than
    8 bits per channel. Another size or mode is never skipped.
    """

    path: Path
    resize: int | None = None
    rgb: bool = False
    skip_bad: bool = False

    @property
    def classes(self) -> int:
        """How many classes the labels name; 0 for pictures without labels, and without pictures."""
        values = self._labels.values if self._listing.items else None
        return 0 if values is None else len(np.unique(values))

    def plan(self) -> Plan:
        """What will be read; the first picture that can be decoded gives the shape."""
        if not self._listing.items:
            raise UserError(
                f"{self.path}: no pictures ({', '.join(suffix[1:] for suffix in SUFFIXES)}) among "
                f"{self._listing.others:,} files"
            )
        labels, square = self._labels, self._decoder.square
        first, shape = self._first()
        return Plan(
            name=_stem(self.path),
            kind="folder",
            items=len(self._listing.items),
            shape=shape,
            labelled=labels.values is not None,
            classes=labels.names,
            source={
                "path": str(self.path),
                "form": self._container.form,
                "listing": self._listing.digest(),
                "pictures": len(self._listing.items),
                "other files": self._listing.others,
                "labels": labels.origin,
                "first": shown(first),
                "decoder": decoder(),
            },
            resize="none" if square is None else square.words(),
            fingerprint=self._fingerprint(),
        )

    def read(self, plan: Plan, start: int) -> Iterator[Chunk]:
        """The pictures from item `start` on; UserError names the item that cannot be used."""
        c, h, w = plan.shape
        size = min(_CHUNK_ITEMS, max(1, _CHUNK_BYTES // (c * h * w)))
        items = self._listing.items[start:]
        job = min(_JOB_ITEMS, size)
        with closing(self._decoder.outcomes(self._container, items, job)) as outcomes:
            for begin in range(0, len(items), size):
                part = items[begin : begin + size]
                yield self._chunk(plan, start + begin, part, list(islice(outcomes, len(part))))

    @cached_property
    def _container(self) -> Container:
        return container(self.path)

    @cached_property
    def _listing(self) -> Listing:
        return self._container.listing()

    @cached_property
    def _labels(self) -> Labels:
        return labels_of(self.path, self._listing)

    @cached_property
    def _decoder(self) -> Decoder:
        square = None if self.resize is None else CentreSquare(self.resize)
        return Decoder(square=square, rgb=self.rgb)

    def _fingerprint(self) -> str:
        options = (self._container.form, self.resize, self.rgb, self.skip_bad, decoder())
        digest = hashlib.sha256(repr((options, self._listing.digest())).encode())
        if self._labels.values is not None:
            digest.update(self._labels.values.tobytes())
        return digest.hexdigest()[:16]

    def _first(self) -> tuple[str, tuple[int, int, int]]:
        """The first usable item and its shape."""
        items, last = self._listing.items, ""
        with closing(self._decoder.outcomes(self._container, items, job=1)) as outcomes:
            for item, outcome in zip(items, outcomes, strict=True):
                picture = self._usable(item, outcome)
                if picture is not None:
                    self._require_size(item, picture)
                    return item.name, _shape(picture)
                last = f"{shown(item.name)}: {outcome}"
        raise UserError(
            f"{self.path}: none of {len(items):,} pictures can be used; the last, {last}"
        )

    def _require_size(self, item: Item, picture: Picture) -> None:
        _, h, w = _shape(picture)
        if min(h, w) < MIN_SIDE:
            raise UserError(
                f"{self.path}: {shown(item.name)} is {w}x{h}; at least {MIN_SIDE}x{MIN_SIDE} is "
                "needed"
            )

    def _chunk(
        self, plan: Plan, start: int, items: Sequence[Item], outcomes: list[Outcome]
    ) -> Chunk:
        kept: list[int] = []
        pixels: list[np.ndarray] = []
        skipped: list[Skipped] = []
        converted: Counter[str] = Counter()
        for index, (item, outcome) in enumerate(zip(items, outcomes, strict=True), start):
            picture = self._usable(item, outcome)
            if picture is None:
                skipped.append(Skipped(shown(item.name), str(outcome)))
                continue
            self._require_alike(plan, item, picture)
            kept.append(index)
            pixels.append(picture.pixels)
            converted.update(picture.done)
        values = self._labels.values
        return Chunk(
            pixels=np.stack(pixels) if pixels else np.empty((0, *plan.shape), dtype=np.uint8),
            labels=None if values is None else values[kept],
            items=len(items),
            skipped=tuple(skipped),
            converted=dict(converted),
        )

    def _usable(self, item: Item, outcome: Outcome) -> Picture | None:
        """The picture, None for one to skip."""
        where = f"{self.path}: {shown(item.name)}"
        if isinstance(outcome, OddMode):
            raise UserError(
                f"{where} is {_mode_name(str(outcome))}, neither plain grey nor RGB; --rgb "
                "converts all pictures to RGB"
            ) from outcome
        if isinstance(outcome, Unusable):
            if self.skip_bad:
                return None
            raise UserError(
                f"{where}: {outcome}; repair or remove it, or leave such files out with --skip-bad"
            ) from outcome
        return outcome

    def _require_alike(self, plan: Plan, item: Item, picture: Picture) -> None:
        (c, h, w), (channels, height, width) = plan.shape, _shape(picture)
        if (c, h, w) == (channels, height, width):
            return
        first, name = plan.source["first"], shown(item.name)
        if c != channels:
            grey, colour = (first, name) if c == 1 else (name, first)
            raise UserError(
                f"{self.path}: {grey} is grey but {colour} is RGB; --rgb converts all pictures to "
                "RGB"
            )
        raise UserError(
            f"{self.path}: {first} is {w}x{h} but {name} is {width}x{height} (width x height); "
            "--resize N brings all pictures to N x N"
        )


def _shape(picture: Picture) -> tuple[int, int, int]:
    c, h, w = picture.pixels.shape
    return c, h, w


def _stem(path: Path) -> str:
    name = path.absolute().name
    return name if path.is_dir() else name.split(".tar")[0].removesuffix(".zip") or name


def _mode_name(mode: str) -> str:
    words = {"1": "black and white", "P": "palette", "PA": "palette", "LA": "grey with alpha"}
    word = words.get(mode, "with alpha" if mode in ("RGBA", "RGBa", "La") else "")
    return f"{mode} ({word})" if word else mode
