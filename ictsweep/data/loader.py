"""The endless stream of training pictures: a pure function of the position.

So it resumes and shards by arithmetic, and there is no state to save.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ictsweep.data.images import Images
from ictsweep.seeds import derive_seed


@dataclass(frozen=True, kw_only=True, eq=False)
class Loader:
    """Shuffled epochs laid end to end.

    Epoch e shows each picture exactly once, in an order drawn from (seed, "order", e); with `flip`,
    a picture is mirrored left to right with probability 1/2, drawn from (seed, "flip", e).
    """

    images: Images
    seed: int
    flip: bool
    # Only the epoch being read: drawing its order anew for each batch would cost more
    # than the batch.
    _current: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False)

    def batch(self, first: int, count: int) -> Tensor:
        """Pictures first .. first + count of the stream, uint8 [count, c, h, w]."""
        index, mirrored = self._places(first, count)
        pixels = self.images.pixels.index_select(0, index)
        if not self.flip:
            return pixels
        return torch.where(mirrored[:, None, None, None], pixels.flip(-1), pixels)

    def labels(self, first: int, count: int) -> Tensor | None:
        """The labels of `batch(first, count)`, int64 [count], or None for data without labels.

        A mirrored picture keeps its label.
        """
        if self.images.labels is None:
            return None
        index, _ = self._places(first, count)
        return self.images.labels.index_select(0, index)

    def _places(self, first: int, count: int) -> tuple[Tensor, Tensor]:
        """Which picture, int64 [count], stands at each place, and whether it is mirrored."""
        assert first >= 0
        assert count >= 1
        parts, n = [], len(self.images)
        while count > 0:
            epoch, start = divmod(first, n)
            taken = min(count, n - start)
            order, mirrored = self._plan(epoch)
            parts.append((order[start : start + taken], mirrored[start : start + taken]))
            first, count = first + taken, count - taken
        orders, sides = zip(*parts, strict=True)
        return torch.cat(orders), torch.cat(sides)

    def _plan(self, epoch: int) -> tuple[Tensor, Tensor]:
        """The order of an epoch, int64 [n], and which of its places are mirrored, bool [n]."""
        if epoch not in self._current:
            n = len(self.images)
            order = torch.randperm(n, generator=_generator(self.seed, "order", epoch))
            mirrored = torch.rand(n, generator=_generator(self.seed, "flip", epoch)) < 0.5
            self._current.clear()
            self._current[epoch] = (order, mirrored)
        return self._current[epoch]


def _generator(seed: int, purpose: str, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(seed, purpose, epoch))
