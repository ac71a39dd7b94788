"""The endless stream of training pictures: a pure function of the position.

So it resumes and shards by arithmetic, and there is no state to save.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ictsweep.data.images import Images
from ictsweep.seeds import derive_seed


@dataclass(frozen=True, kw_only=True, eq=False)
class Loader:
    """Shuffled epochs laid end to end.

    Epoch e shows each picture exactly once, in an order drawn from (seed, "order", e). Pictures are
    read as they are stored, so that a file mapped into memory stays there; `pinned` batches lie
    where a GPU can fetch them while the CPU goes on. Whatever is done to a picture, whoever wants
    it does on the device.
    """

    images: Images
    seed: int
    pinned: bool = False
    # Only the epoch being read: drawing its order anew for each batch would cost more
    # than the batch.
    _orders: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False)
    _sides: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False)

    def batch(self, first: int, count: int) -> Tensor:
        """Pictures first .. first + count of the stream, uint8 [count, c, h, w]."""
        pixels = self.images.pixels
        out = torch.empty(count, *self.images.shape, dtype=pixels.dtype, pin_memory=self.pinned)
        return torch.index_select(pixels, 0, self.places(first, count), out=out)

    def labels(self, first: int, count: int) -> Tensor | None:
        """The labels of `batch(first, count)`, int64 [count], or None for data without labels.

        A mirrored picture keeps its label.
        """
        if self.images.labels is None:
            return None
        return self.images.labels.index_select(0, self.places(first, count))

    def places(self, first: int, count: int) -> Tensor:
        """Which pictures of the data `batch(first, count)` shows, int64 [count]."""
        parts = (self._order(epoch)[part] for epoch, part in self._parts(first, count))
        return torch.cat(list(parts))

    def mirrored(self, first: int, count: int) -> Tensor:
        """Which of `batch(first, count)` to mirror where half of the pictures should be: bool
        [count], with probability 1/2, drawn from (seed, "flip", epoch)."""
        parts = (self._side(epoch)[part] for epoch, part in self._parts(first, count))
        return torch.cat(list(parts))

    def _parts(self, first: int, count: int) -> Iterator[tuple[int, slice]]:
        """Epochs, and what of each belongs to a piece of the stream."""
        assert first >= 0
        assert count >= 1
        n = len(self.images)
        while count > 0:
            epoch, start = divmod(first, n)
            taken = min(count, n - start)
            yield epoch, slice(start, start + taken)
            first, count = first + taken, count - taken

    def _order(self, epoch: int) -> Tensor:
        """Which picture stands at each place of an epoch, int64 [n]."""
        if epoch not in self._orders:
            generator = _generator(self.seed, "order", epoch)
            self._orders.clear()
            self._orders[epoch] = torch.randperm(len(self.images), generator=generator)
        return self._orders[epoch]

    def _side(self, epoch: int) -> Tensor:
        """Which places of an epoch are mirrored, bool [n]."""
        if epoch not in self._sides:
            generator = _generator(self.seed, "flip", epoch)
            self._sides.clear()
            self._sides[epoch] = torch.rand(len(self.images), generator=generator) < 0.5
        return self._sides[epoch]


def _generator(seed: int, purpose: str, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(seed, purpose, epoch))
