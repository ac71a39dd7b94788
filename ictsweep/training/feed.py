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
from ictsweep.data.augment import augmented, draw_augmentation
from ictsweep.networks import draw_mask
from ictsweep.seeds import derive_seed
from ictsweep.training.precision import tf32


@dataclass(frozen=True, kw_only=True, eq=False)
class Feed:
    """The training stream of a configuration on a device, which `pinned` pictures reach without
    keeping the CPU. `mask_size` is the network's.

    Pictures are stored once and travel as they are stored: they are mirrored and augmented on the
    device.
    """

    config: TrialConfig
    images: Images
    seed: int
    mask_size: int
    device: torch.device
    pinned: bool = False
    _loader: Loader = field(init=False, repr=False)
    _others: Loader = field(init=False, repr=False)
    _references: dict[int, References] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for name, seed in (
            ("_loader", self.seed),
            ("_others", derive_seed(self.seed, "references")),
        ):
            loader = Loader(images=self.images, seed=seed, pinned=self.pinned)
            object.__setattr__(self, name, loader)

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
        x0, augment = self.pictures(first, count)
        return Batch(
            x0=_channels_last(x0),
            noise=_channels_last(noise),
            t=t,
            r=r,
            mask=mask,
            labels=self._labels(first, count, hidden),
            augment=augment,
            generated=generated,
            references=self._references_at(seen),
        )

    def pictures(self, first: int, count: int) -> tuple[Tensor, Tensor | None]:
        """The `count` images from place `first` of the stream on, in [-1, 1], and what was done to
        them, [count, 9]: None for nothing but mirroring half of them, where the data wants it.
        """
        if not self.config.data.augment:
            return self._plain(self._loader, first, count), None
        x0 = to_model(self._moved(self._loader.batch(first, count)))
        block = self.config.optimizer.block
        # Block by block: a product of another size may round otherwise.
        parts = [self._augmented(x0[i : i + block], first + i) for i in range(0, count, block)]
        images, labels = zip(*parts, strict=True)
        return torch.cat(images), torch.cat(labels)

    def _plain(self, loader: Loader, first: int, count: int) -> Tensor:
        """Images of a stream in [-1, 1], half of them mirrored where the data wants it."""
        pixels = self._moved(loader.batch(first, count))
        if self.config.data.flip:
            # One of the two sides of each: whole images are copied faster than pixels are chosen.
            sides = torch.cat([pixels, pixels.flip(-1)])
            chosen = torch.arange(count) + count * loader.mirrored(first, count)
            pixels = sides.index_select(0, self._moved(chosen))
        return to_model(pixels)

    def _augmented(self, x0: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """The images of the block at place `start` after their augmentation, and its labels."""
        data = self.config.data
        seed = derive_seed(self.seed, "augmentation", start)
        generator = torch.Generator(self.device).manual_seed(seed)
        what = draw_augmentation(len(x0), data.augment, data.flip, generator, self.device)
        with tf32(False):  # which would cut the pictures to 3 digits
            return augmented(x0, what), what.labels

    def _moved(self, values: Tensor) -> Tensor:
        return values.to(self.device, non_blocking=self.pinned)

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
        labels = self._moved(labels)
        return labels if hidden is None else labels.masked_fill(hidden, -1)

    def _references_at(self, seen: int) -> References | None:
        """The references of a step: the same for all its images, whichever process asks."""
        path, batch = self.config.method.path, self.config.optimizer.batch
        if not isinstance(path, PosteriorMean) or path.references == 1:
            return None
        if seen not in self._references:
            count = path.references - 1
            first = seen // batch * count
            labels = self._others.labels(first, count)
            self._references.clear()
            self._references[seen] = References(
                self._plain(self._others, first, count),
                self._moved(labels) if labels is not None else None,
            )
        return self._references[seen]


def _joined(parts: tuple[Tensor | None, ...]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None


def _channels_last(images: Tensor) -> Tensor:
    """The layout in which convolutions are fastest; the numbers are the same."""
    return images.contiguous(memory_format=torch.channels_last)
