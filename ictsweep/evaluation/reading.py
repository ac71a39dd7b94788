"""One pass of a feature network over a data set, which goes on where a kill cut it off."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ictsweep.errors import UserError
from ictsweep.evaluation.content import ContentHash, require_content
from ictsweep.evaluation.features import Extractor
from ictsweep.evaluation.files import forget, store, stored
from ictsweep.evaluation.statistics import Moments
from ictsweep.progress import Progress

# Pictures between two points from which the pass can go on.
BLOCK = 2048


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """The pass over `pixels` uint8 [n, c, h, w] (with `labels` [n] or None, for their `digest`)
    that computes the moments of all features if `moments` is asked for, and keeps the features of
    `kept` pictures, evenly spaced (0: none).

    Its files in `cache` start with `name`, which says all that the results depend on. Moments are
    computed in float64 on `device`.
    """

    pixels: Tensor
    labels: Tensor | None
    digest: str
    extractor: Extractor
    cache: Path
    name: str
    moments: bool
    kept: int
    device: torch.device

    def run(self) -> Iterator[Progress]:
        """Read to the end. UserError for data of another digest, and for features that are not
        finite or all the same.
        """
        total, content = len(self.pixels), ContentHash(self.pixels.shape)
        done, so_far = self._resumed()
        for first in range(0, total, BLOCK):
            block = self.pixels[first : first + BLOCK]
            content.add(block)
            if first >= done:
                so_far = self._take(first, block, so_far)
                yield Progress(first + len(block), total, "images")
        self._check_digest(content.finish(self.labels))

    def features(self) -> Tensor:
        """The features kept, float32 [kept, d]; after `run`."""
        blocks = [self._tensors(first)["features"] for first in range(0, len(self.pixels), BLOCK)]
        found = torch.cat(blocks)
        self._check_varied(bool((found != found[:1]).any()))
        return found

    def moments_of_all(self) -> Moments:
        """The moments of all features, on `device`; after `run`."""
        _, found = self._resumed()
        assert found is not None
        self._check_varied(bool(found.scatter.diagonal().max() > 0))
        return found

    def forget(self) -> None:
        """Remove the files of the pass, those that a kill left half-written (.NAME) too."""
        for pattern in (f"{self.name}-*", f".{self.name}-*"):
            for path in self.cache.glob(pattern):
                path.unlink(missing_ok=True)

    def _take(self, first: int, block: Tensor, so_far: Moments | None) -> Moments | None:
        """Put the features of a block on the disk: what is kept first, then how far the pass is."""
        index = self._chosen(first, len(block))
        taken = block if self.moments else block[index]
        rows = self.extractor(taken) if len(taken) else torch.empty(0, self.extractor.dims)
        if bad := int((~rows.isfinite().all(dim=1)).sum()):
            raise UserError(
                f"the features of {bad} of the {len(rows)} pictures from {first} of the data on "
                f"are not finite: the feature network {self.extractor.name} cannot be used with "
                "these data"
            )
        if self.kept:
            chosen = rows[index] if self.moments else rows
            store(self.cache, self._block(first), {"features": chosen}, {})
        if self.moments:
            own = Moments.of(rows.to(self.device))
            so_far = own if so_far is None else so_far + own
        tensors = {} if so_far is None else {"mean": so_far.mean, "scatter": so_far.scatter}
        # Under a name of its own: a kill between its two files leaves the state before it whole.
        store(self.cache, self._state(first + len(block)), tensors, {"done": first + len(block)})
        forget(self.cache, self._state(first))
        return so_far

    def _chosen(self, first: int, count: int) -> Tensor:
        """Which pictures of the block are kept, counted from its beginning."""
        n = len(self.pixels)
        if not self.kept:
            return torch.empty(0, dtype=torch.int64)
        places = torch.arange(self.kept) * n // self.kept
        return places[(places >= first) & (places < first + count)] - first

    def _resumed(self) -> tuple[int, Moments | None]:
        """How far an earlier pass came, and the moments up to there."""
        states = sorted(self.cache.glob(f"{self.name}-state-*.json"), reverse=True)
        found = next(filter(None, (stored(self.cache, path.stem) for path in states)), None)
        if found is None:
            return 0, None
        tensors, facts = found
        done = facts["done"]
        whole = range(0, done if self.kept else 0, BLOCK)
        if any(stored(self.cache, self._block(first)) is None for first in whole):
            return 0, None
        if not self.moments:
            return done, None
        mean, scatter = tensors["mean"].to(self.device), tensors["scatter"].to(self.device)
        return done, Moments(count=done, mean=mean, scatter=scatter)

    def _block(self, first: int) -> str:
        """The name of the features kept of the block at `first`."""
        return f"{self.name}-block-{first:09d}"

    def _state(self, done: int) -> str:
        """The name of what is known after `done` pictures."""
        return f"{self.name}-state-{done:09d}"

    def _tensors(self, first: int) -> dict[str, Tensor]:
        found = stored(self.cache, self._block(first))
        assert found is not None
        return dict(found[0])

    def _check_digest(self, found: str) -> None:
        if found != self.digest:
            self.forget()
        require_content(found, self.digest)

    def _check_varied(self, varied: bool) -> None:
        if not varied and len(self.pixels) > 1:
            self.forget()
            raise UserError(
                f"all {len(self.pixels)} pictures of the data have the same features in "
                f"{self.extractor.name}: nothing can be measured with them"
            )
