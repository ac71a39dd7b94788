"""Many files decoded at once, their pictures in order."""

import os
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice

from PIL import Image

from ictsweep.data.sources.containers import UNREADABLE, Container
from ictsweep.data.sources.listing import Item, shown
from ictsweep.data.sources.pictures import MAX_BYTES, OddMode, Picture, Unusable, decode
from ictsweep.data.sources.resize import CentreSquare
from ictsweep.errors import UserError

Outcome = Picture | Unusable | OddMode


@dataclass(frozen=True)
class Decoder:
    """How files become pictures: brought to a `square` or not, converted to `rgb` or not."""

    square: CentreSquare | None
    rgb: bool

    def outcomes(
        self, container: Container, items: Sequence[Item], job: int
    ) -> Generator[Outcome, None, None]:
        """What each of these items gives, in order. Each thread decodes `job` items at a time: more
        cost memory, fewer cost time where pictures are small.

        Threads, because Pillow decodes and resizes without Python's lock, and because none of them
        outlives a kill.
        """
        Image.init()  # loads Pillow's formats, once: threads could meet half of them
        threads = len(os.sched_getaffinity(0))
        running: deque[Future[list[Outcome]]] = deque()
        with (
            _silent_metadata(),
            closing(container.pieces(items)) as pieces,
            ThreadPoolExecutor(threads) as pool,
        ):
            # Not strict: that would run the pieces to their end, which closes an archive.
            files = zip(items, pieces, strict=False)
            while part := list(islice(files, job)):
                running.append(pool.submit(self._decoded, part))
                if len(running) > threads:
                    yield from running.popleft().result()
            while running:
                yield from running.popleft().result()

    def _decoded(self, files: Sequence[tuple[Item, Callable[[], bytes]]]) -> list[Outcome]:
        return [self._outcome(item, piece) for item, piece in files]

    def _outcome(self, item: Item, piece: Callable[[], bytes]) -> Outcome:
        if item.size > MAX_BYTES:
            return Unusable(f"too large: a file of {item.size:,} bytes")
        try:
            return decode(piece(), self.square, rgb=self.rgb)
        except (Unusable, OddMode) as outcome:
            return outcome
        except UNREADABLE as error:
            return Unusable(f"cannot be read ({error})")
        except MemoryError:  # says nothing about the file: it must not be skipped for that
            raise UserError(
                f"{shown(item.name)}: not enough memory to decode it; free some and run the same "
                "command again: it continues"
            ) from None


@contextmanager
def _silent_metadata() -> Iterator[None]:
    """Pillow warns of metadata that it cannot read, and of sizes that are refused here anyway."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield
