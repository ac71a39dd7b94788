"""What samples are compared with: the features of the data, and what metrics need of them.

They cost a pass of the feature network over all data, so they lie in a cache under the hash of the
data and of the network, and everyone who measures alike shares them.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ictsweep.errors import UserError
from ictsweep.evaluation.extraction import full_precision
from ictsweep.evaluation.features import Extractor
from ictsweep.evaluation.files import alone, store, stored
from ictsweep.evaluation.frechet import ReferenceFactor, factor
from ictsweep.evaluation.kernel import KernelReference, kernel_reference
from ictsweep.evaluation.manifold import Manifold, manifold
from ictsweep.evaluation.reading import Reading
from ictsweep.progress import Progress

# Metrics that compare one picture with another take so many of the data's, evenly spaced, at most:
# as many as there are samples in published numbers.
SAMPLE = 50_000
NEIGHBOURS = 3  # of precision and recall

_NEEDED = {
    "fid": {"factor"}, "fd": {"factor"}, "is": set(),
    "kid": {"features", "kernel"}, "kd": {"features", "kernel"},
    "precision": {"features", "radii"}, "recall": {"features", "radii"},
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """The features of pictures `pixels` uint8 [n, c, h, w] (CPU, perhaps a memory map) with
    `labels` [n] or None, as far as `metrics` need them. `build` computes them, on `device`; the
    properties read what it left in `cache`.
    """

    pixels: Tensor
    labels: Tensor | None
    digest: str
    extractor: Extractor
    metrics: tuple[str, ...]
    cache: Path
    device: torch.device

    @property
    def sample_size(self) -> int:
        """How many pictures are compared one by one: all up to 50,000."""
        return min(len(self.pixels), SAMPLE)

    @cached_property
    def factor(self) -> ReferenceFactor:
        """For the Fréchet distance: mean and covariance of all features."""
        tensors, trace = self._part("factor")
        return ReferenceFactor(mean=tensors["mean"], root=tensors["root"], trace=trace)

    @cached_property
    def manifold(self) -> Manifold:
        """For precision and recall: the features one by one, and their neighbourhoods."""
        radii = self._part("radii")[0]["radii"]
        return Manifold(features=self._features, radii=radii, k=NEIGHBOURS)

    @cached_property
    def kernel(self) -> KernelReference:
        """For the kernel distance: the features one by one, and their own term."""
        return KernelReference(features=self._features, term=self._part("kernel")[1])

    def build(self) -> Iterator[Progress]:
        """Compute what the cache lacks; one process does, others that ask wait for it.

        A killed pass goes on where its last block ended. The data are hashed as they are read:
        UserError if they are not those that `digest` says, or if their features are not finite or
        all the same.
        """
        with alone(self.cache / f"{self._name('parts')}.lock"):
            missing = self._missing()
            if missing & {"factor", "features"}:
                yield from self._read(missing)
            if "radii" in missing:
                with full_precision():
                    radii = self._manifold().radii
                store(self.cache, self._name("radii"), {"radii": radii}, {})
            if "kernel" in missing:
                with full_precision():
                    own = kernel_reference(self._features)
                store(self.cache, self._name("kernel"), {}, {"number": own.term})

    def _manifold(self) -> Manifold:
        if self.sample_size <= NEIGHBOURS:
            raise UserError(
                f"precision and recall need more than {NEIGHBOURS} pictures of the data, got "
                f"{self.sample_size}"
            )
        return manifold(self._features, NEIGHBOURS)

    def _missing(self) -> set[str]:
        needed = set().union(*(_NEEDED[metric] for metric in self.metrics))
        return {part for part in needed if stored(self.cache, self._name(part)) is None}

    def _read(self, missing: set[str]) -> Iterator[Progress]:
        """Write the parts that take a pass over the data."""
        reading = Reading(
            pixels=self.pixels,
            labels=self.labels,
            digest=self.digest,
            extractor=self.extractor,
            cache=self.cache,
            name=self._name("-".join(sorted(missing & {"factor", "features"})) + "-partial"),
            moments="factor" in missing,
            kept=self.sample_size if "features" in missing else 0,
            device=self.device,
        )
        yield from reading.run()
        if "features" in missing:
            store(self.cache, self._name("features"), {"features": reading.features()}, {})
        if "factor" in missing:
            of_data = factor(reading.moments_of_all())
            tensors = {"mean": of_data.mean.cpu(), "root": of_data.root.cpu()}
            store(self.cache, self._name("factor"), tensors, {"number": of_data.trace})
        reading.forget()

    def _part(self, part: str) -> tuple[dict[str, Tensor], float]:
        found = stored(self.cache, self._name(part))
        assert found is not None, f"the reference's {part} was not built"
        tensors, facts = found
        return {k: v.to(self.device) for k, v in tensors.items()}, facts.get("number", 0.0)

    @cached_property
    def _features(self) -> Tensor:
        return self._part("features")[0]["features"]

    def _name(self, part: str) -> str:
        """The name of a part in the cache: the network, its resizing included, and the data."""
        network = f"{self.extractor.name} {self.extractor.weights} {self.extractor.resize}"
        return f"reference-{hashlib.sha256(network.encode()).hexdigest()[:16]}-{self.digest}-{part}"
