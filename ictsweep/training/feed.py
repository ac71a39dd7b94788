"""The batches of a run: images and their randomness, a pure function of the place in the stream.

The global batch is cut into fixed blocks; every block draws its levels, noise, dropout mask and the
rest from a generator seeded by its position. So a sample's randomness depends on the sample alone:
not on the rank, not on the micro-batch.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ictsweep.config import TrialConfig
from ictsweep.consistency import Batch, PosteriorMean, References
from ictsweep.data import Images, Loader, to_model
from ictsweep.networks import draw_mask
from ictsweep.seeds import derive_seed


@dataclass(frozen=True, kw_only=True, eq=False)
class Feed:
    """The training stream of a configuration on a device. `mask_size` is the network's."""

    config: TrialConfig
    images: Images
    seed: int
    mask_size: int
    device: torch.device
    _loader: Loader = field(init=False, repr=False)
    _others: Loader = field(init=False, repr=False)
    _references: dict[int, References] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        flip = self.config.data.flip
        others = derive_seed(self.seed, "references")
        object.__setattr__(self, "_loader", Loader(images=self.images, seed=self.seed, flip=flip))
        object.__setattr__(self, "_others", Loader(images=self.images, seed=others, flip=flip))

    def batch(self, seen: int, offset: int, count: int) -> Batch:
        """Images offset .. offset + count of the global batch that starts after `seen` images;
        `offset` and `count` are multiples of the block.
        """
        first, block = seen + offset, self.config.optimizer.block
        progress = seen / (self.config.budget_kimg * 1000)
        drawn = [
            self._block(start, block, progress) for start in range(first, first + count, block)
        ]
        t, r, noise, mask, generated, hidden = map(_joined, zip(*drawn, strict=True))
        assert t is not None
        assert r is not None
        assert noise is not None
        return Batch(
            x0=_channels_last(to_model(self._loader.batch(first, count).to(self.device))),
            noise=_channels_last(noise),
            t=t,
            r=r,
            mask=mask,
            labels=self._labels(first, count, hidden),
            generated=generated,
            references=self._references_at(seen),
        )

    def _block(self, start: int, n: int, progress: float) -> tuple[Tensor | None, ...]:
        """Levels t, r, noise, mask, whose endpoint is generated and whose label is hidden, of the
        `n` images from place `start` of the stream on.

        What only some methods need is drawn last, and what only some networks need from a stream of
        its own: no other number depends on either.
        """
        method, network, device = self.config.method, self.config.network, self.device
        generator = torch.Generator(device).manual_seed(derive_seed(self.seed, "step", start))
        t, r = method.pairs.sample(n, progress, generator, device)
        noise = torch.randn(n, *self.images.shape, generator=generator, device=device)
        mask = draw_mask(n, self.mask_size, generator, device) if self.mask_size else None
        generated = method.endpoint.draw(n, generator, device)
        hidden = None
        if network.classes and network.label_dropout:
            generator.manual_seed(derive_seed(self.seed, "hidden labels", start))
            u = torch.rand(n, generator=generator, device=device, dtype=torch.float64)
            hidden = u < network.label_dropout
        return t, r, noise, mask, generated, hidden

    def _labels(self, first: int, count: int, hidden: Tensor | None) -> Tensor | None:
        if not self.config.network.classes:
            return None
        labels = self._loader.labels(first, count)
        assert labels is not None, "a network of classes needs labels"
        labels = labels.to(self.device)
        return labels if hidden is None else labels.masked_fill(hidden, -1)

    def _references_at(self, seen: int) -> References | None:
        """The references of a step: the same for all its images, whichever process asks."""
        path, batch = self.config.method.path, self.config.optimizer.batch
        if not isinstance(path, PosteriorMean) or path.references == 1:
            return None
        if seen not in self._references:
            count = path.references - 1
            first = seen // batch * count
            pixels, labels = self._others.batch(first, count), self._others.labels(first, count)
            self._references.clear()
            self._references[seen] = References(
                to_model(pixels.to(self.device)),
                labels.to(self.device) if labels is not None else None,
            )
        return self._references[seen]


def _joined(parts: tuple[Tensor | None, ...]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None


def _channels_last(images: Tensor) -> Tensor:
    """The layout in which convolutions are fastest; the numbers are the same."""
    return images.contiguous(memory_format=torch.channels_last)
