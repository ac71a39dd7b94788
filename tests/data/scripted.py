"""A source made of arithmetic, for the tests of preparation."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ictsweep.data.sources import Chunk, Plan, Skipped

SHAPE = (3, 8, 8)


@dataclass(frozen=True, kw_only=True)
class Scripted:
    """`items` items, of which every `bad`-th is skipped and every fifth counted as converted;
    chunks have 1 .. 6 items, cut at other places when reading starts elsewhere.

    `starts` lists where reading began; `filled` is a file written at item `stop` to fill a disk.
    """

    items: int = 200
    labelled: bool = True
    bad: int = 7
    pause: float = 0.0
    fingerprint: str = "a"
    name: str = "scripted"
    shape: tuple[int, int, int] = SHAPE
    starts: list[int] = field(default_factory=list)
    ballast: Path | None = None

    def plan(self) -> Plan:
        return Plan(
            name=self.name,
            kind="scripted",
            items=self.items,
            shape=self.shape,
            labelled=self.labelled,
            classes=("even", "odd") if self.labelled else None,
            source={"made": "of arithmetic"},
            resize="none",
            fingerprint=self.fingerprint,
        )

    def read(self, plan: Plan, start: int) -> Iterator[Chunk]:
        self.starts.append(start)
        first, step = start, 0
        while first < self.items:
            step = step % 6 + 1
            yield self._chunk(range(first, min(first + step, self.items)))
            first += step
            if self.pause:
                time.sleep(self.pause)
            if self.ballast and first > self.items // 2:
                fill(self.ballast)

    def pixels(self) -> np.ndarray:
        """All pictures that are not skipped."""
        return np.stack([self._picture(i) for i in range(self.items) if not self._is_bad(i)])

    def labels(self) -> np.ndarray:
        """Their labels."""
        return np.array([i % 2 for i in range(self.items) if not self._is_bad(i)])

    def without_pause(self) -> "Scripted":
        """The same pictures, faster."""
        return replace(self, pause=0.0, ballast=None)

    def _chunk(self, items: range) -> Chunk:
        good = [i for i in items if not self._is_bad(i)]
        pixels = np.array([self._picture(i) for i in good], np.uint8)
        converted = sum(i % 5 == 0 for i in good)
        return Chunk(
            pixels.reshape(-1, *self.shape),
            np.array([i % 2 for i in good], np.int64) if self.labelled else None,
            len(items),
            tuple(Skipped(f"{i}.png", "damaged") for i in items if self._is_bad(i)),
            {"L": converted} if converted else {},
        )

    def _is_bad(self, item: int) -> bool:
        return self.bad > 0 and item % self.bad == 0

    def _picture(self, item: int) -> np.ndarray:
        return np.random.default_rng(item).integers(0, 256, self.shape, dtype=np.uint8)


def fill(ballast: Path) -> None:
    """Take all the room of a disk."""
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
